// Pages work without this script. It adds what makes them kinder: focus on the
// error summary, show and hide for passwords, no double sending, a warning
// before a sign-in ends.
import { initAll } from './nhsuk.js'
import { watchTimeOut } from './timeout.js'

document.body.classList.add('js-enabled', 'nhsuk-frontend-supported')
initAll()
document.querySelectorAll('[data-carekey-timeout]').forEach(watchTimeOut)

// A form that carries an answer to another service leaves by itself.
document.querySelector('form[data-carekey-onward]')?.requestSubmit()

// Pages work without this script. It adds what makes them kinder: focus on the
// error summary, show and hide for passwords, no double sending.
import { initAll } from './nhsuk.js'

document.body.classList.add('js-enabled', 'nhsuk-frontend-supported')
initAll()

// A form that carries an answer to another service leaves by itself.
document.querySelector('form[data-carekey-onward]')?.requestSubmit()

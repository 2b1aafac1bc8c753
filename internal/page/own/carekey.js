// Pages work without this script. It adds what makes them kinder: focus on the
// error summary, show and hide for passwords, no double sending, a warning
// before a sign-in ends. Security keys and passkeys alone need it: those pages
// say so.
import { initAll } from './nhsuk.js'
import { watchTimeOut } from './timeout.js'
import { markUnable, watchCeremony } from './fido.js'

document.body.classList.add('js-enabled', 'nhsuk-frontend-supported')
initAll()
document.querySelectorAll('[data-carekey-timeout]').forEach(watchTimeOut)
document.querySelectorAll('input[data-carekey-needs]').forEach(markUnable)
document.querySelectorAll('form[data-carekey-fido]').forEach(watchCeremony)

// A form that carries an answer to another service leaves by itself.
document.querySelector('form[data-carekey-onward]')?.requestSubmit()

// A page that opens other services in frames goes on although one of them hangs:
// a browser counts the seconds of the header Refresh from when all have loaded.
document.querySelectorAll('[data-carekey-leaves]').forEach((leaves) => {
  setTimeout(() => {
    stop()
    location.assign(leaves.querySelector('a').href)
  }, leaves.dataset.carekeyLeaves * 1000)
})

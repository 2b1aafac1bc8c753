// Asks the browser for a security key, Windows Hello or a passkey (W3C Web
// Authentication), and sends what it answers, or what went wrong, to the server
// as a form. The words are on the page; the server decides.

// A form begins its ceremony when its button is pressed. data-carekey-auto
// begins it at once; data-carekey-conditional offers passkeys in the address
// field too.
export async function watchCeremony(form) {
  const able = await browserCan(form.dataset.carekeyNeeds || 'webauthn')
  show('[data-carekey-without]', false)
  show('[data-carekey-with]', able)
  show('[data-carekey-cannot]', !able)
  if (!able) return

  const creating = form.dataset.carekeyFido === 'create'
  const button = form.querySelector('[data-carekey-start]')
  const waiting = form.querySelector('[data-carekey-waiting]')
  const words = waiting.dataset.carekeyWaiting
  const shown = Date.now()
  let current // the request that the browser is busy with; it takes one at a time
  let offered // current is the offer in the address field, which nobody asked for

  async function ask(how) {
    current?.abort()
    const mine = current = new AbortController()
    offered = how === 'conditional'
    const publicKey = decoded(JSON.parse(form.dataset.options))
    const began = performance.now()
    // Nobody should type a PIN for a challenge that is over: the page gets another.
    // A reload would send again what the last try said, where that made the page.
    if (how === 'button' && over()) return location.replace(fresh())
    busy(how !== 'conditional')
    try {
      const request = { publicKey, signal: mine.signal }
      if (how === 'conditional') request.mediation = 'conditional'
      const made = await navigator.credentials[creating ? 'create' : 'get'](request)
      if (mine === current) send('response', JSON.stringify(encoded(made)))
    } catch (error) {
      if (mine === current) failed(how, error, performance.now() - began, publicKey.timeout)
    }
  }

  function failed(how, error, took, timeout) {
    current = undefined
    offered = false
    busy(false)
    if (how === 'conditional') return // nobody pressed anything: the button is still there
    // A browser that wants a person to press first refuses at once.
    if (how === 'auto' && error.name === 'NotAllowedError' && took < 1000) return
    // For privacy, cancelling and running out of time have one name. (Firefox's is
    // AbortError.)
    const ended = error.name === 'NotAllowedError' || error.name === 'AbortError'
    const late = ended && timeout && took >= timeout - 1000
    send('error', late ? 'TimeoutError' : String(error.name))
  }

  function busy(on) {
    button.disabled = on
    waiting.textContent = on ? words : ''
  }

  function over() {
    return Date.now() - shown >= JSON.parse(form.dataset.options).publicKey.timeout
  }

  function fresh() {
    return `${form.action}?j=${encodeURIComponent(form.elements.j.value)}`
  }

  function send(name, value) {
    // Firefox keeps what a script wrote into a page that is come back to.
    form.elements.response.value = form.elements.error.value = ''
    form.elements[name].value = value
    busy(true)
    form.submit()
  }

  form.addEventListener('submit', event => {
    event.preventDefault()
    ask('button')
  })
  // A page that comes back from the browser's memory waits for nothing.
  addEventListener('pageshow', event => event.persisted && busy(false))
  if ('carekeyAuto' in form.dataset) return ask('auto')
  if (!('carekeyConditional' in form.dataset) || !await browserCan('conditional')) return
  // Browsers let the offer stand on a page that nobody looks at for hours. What
  // somebody has typed stays.
  const typed = () => document.querySelector('[autocomplete~=webauthn]')?.value
  addEventListener('focusin', () => offered && over() && !typed() && location.replace(fresh()))
  ask('conditional')
}

// markUnable says at each choice that this browser or computer cannot do why
// that is so.
export async function markUnable(choice) {
  if (choice.disabled || await browserCan(choice.dataset.carekeyNeeds)) return
  choice.disabled = true
  choice.checked = false
  const hint = document.getElementById(`${choice.id}-item-hint`)
  hint.classList.add('carekey-reason')
  hint.append(document.createElement('br'), choice.dataset.carekeyReason)
}

async function browserCan(what) {
  try {
    const api = window.PublicKeyCredential
    if (!api || !navigator.credentials) return false
    if (what === 'platform') return await api.isUserVerifyingPlatformAuthenticatorAvailable()
    if (what === 'conditional') return !!await api.isConditionalMediationAvailable?.()
    return true
  } catch {
    return false
  }
}

function show(which, on) {
  document.querySelectorAll(which).forEach(part => { part.hidden = !on })
}

// The browsers' own conversions are newer than the browsers that people have,
// and some extensions answer with objects that lack them.
function decoded({ publicKey: o }) {
  const named = list => list?.map(one => ({ ...one, id: bytes(one.id) }))
  const options = { ...o, challenge: bytes(o.challenge) }
  if (o.user) options.user = { ...o.user, id: bytes(o.user.id) }
  if (o.excludeCredentials) options.excludeCredentials = named(o.excludeCredentials)
  if (o.allowCredentials) options.allowCredentials = named(o.allowCredentials)
  return options
}

function encoded(made) {
  const response = {}
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (made.response[name]) response[name] = text(made.response[name])
  }
  if (made.response.getTransports) response.transports = made.response.getTransports()
  return {
    id: made.id, rawId: text(made.rawId), type: made.type, response,
    authenticatorAttachment: made.authenticatorAttachment ?? undefined,
    clientExtensionResults: made.getClientExtensionResults(),
  }
}

function bytes(base64url) {
  const binary = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(binary, c => c.charCodeAt(0))
}

function text(buffer) {
  const binary = Array.from(new Uint8Array(buffer), b => String.fromCharCode(b)).join('')
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

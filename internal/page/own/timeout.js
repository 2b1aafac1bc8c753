// Says in time that a sign-in is about to end, and lets one key put the end off
// (WCAG 2.2, 2.2.1). It asks the server before it warns, because another tab may
// have put the end off, and when the time is over. Asking is no activity.
export function watchTimeOut(root) {
  const dialog = root.querySelector('dialog')
  const stay = root.querySelector('[data-stay]')
  const warnBefore = Number(root.dataset.warn)
  const pause = 5 // seconds between two warnings, where limits are very short
  let end, lead, timer

  // The machine's clock may be wrong: what counts is the time that has gone by
  // since the server told how much is left.
  const left = () => (end - Date.now()) / 1000
  const after = (seconds, next) => {
    clearTimeout(timer)
    timer = setTimeout(next, Math.max(0, seconds) * 1000)
  }

  function wait(seconds) {
    end = Date.now() + seconds * 1000
    lead = Math.min(warnBefore, seconds - pause)
    if (dialog.open) dialog.close('later')
    after(seconds - lead, () => ask())
  }

  async function ask(request) {
    try {
      const answer = await fetch(root.dataset.path, { ...request, headers: { Accept: 'application/json' } })
      if (!answer.ok) throw new Error(`answered ${answer.status}`)
      heard(await answer.json(), request)
    } catch {
      if (left() <= 0) return over()
      root.querySelector('[data-unreached]').hidden = !dialog.open
      warn()
    }
  }

  function heard(told, request) {
    if (told.left <= 0) return over()
    const putOff = request || told.left > left() + 2
    root.querySelector('[data-unreached]').hidden = true
    root.querySelector('[data-at]').textContent = told.at
    root.querySelectorAll('[data-until]').forEach(part => {
      part.hidden = (part.dataset.until === 'final') !== told.final
    })
    if (putOff && !(told.final && told.left <= warnBefore)) return wait(told.left)
    end = Date.now() + told.left * 1000
    if (left() > lead + 1) after(left() - lead, () => ask())
    else warn()
  }

  function warn() {
    if (!dialog.open && dialog.returnValue !== 'seen') dialog.showModal()
    const countdown = root.querySelector('[data-countdown]'), words = spoken(left())
    if (countdown.textContent !== words) countdown.textContent = words
    after(Math.min(1, left()), () => (left() <= 0 ? ask() : warn()))
  }

  // What the page shows is nobody else's business: it goes.
  function over() {
    clearTimeout(timer)
    location.replace(root.dataset.over)
  }

  stay.addEventListener('submit', event => {
    event.preventDefault()
    ask({ method: 'POST', body: new URLSearchParams(new FormData(stay)) })
  })
  // Escape is a key like any other: whoever presses it is there.
  dialog.addEventListener('cancel', event => {
    event.preventDefault()
    if (stay.closest('[hidden]')) dialog.close('seen')
    else stay.requestSubmit()
  })
  root.querySelector('[data-close]').addEventListener('click', () => dialog.close('seen'))
  // A tab that comes back to the front may have slept.
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && left() <= lead) ask()
  })
  wait(Number(root.dataset.left))
}

// spoken rounds down, so that no more is promised than there is, and changes
// rarely, because a screen reader says each change.
function spoken(seconds) {
  if (seconds >= 120) return `${Math.floor(seconds / 60)} minutes`
  if (seconds >= 60) return '1 minute'
  if (seconds >= 15) return `${Math.floor(seconds / 15) * 15} seconds`
  return 'a few seconds'
}

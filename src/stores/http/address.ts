/** Where a manager is, as a user wrote it. */
import { ErrandError } from '../../core/errors.ts'
import { encodeAdvice, isTorn, maybeUnset, shownUrl } from '../../core/shown.ts'

const exampleUrl = 'https://jobs.example.org'

/**
 * Reads the URL of a manager: with a path where it stands behind one, without user, password and query.
 * Throws `invalid-option`.
 */
export function readAddress(text: string): URL {
  const url = typeof text === 'string' ? URL.parse(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || isTorn(text)) {
    const advice = typeof text === 'string' && isTorn(text) ? ` ${encodeAdvice}` : maybeUnset(text)
    throw refused(`needs a URL such as ${exampleUrl}, not ${shownUrl(text)}${advice}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw refused('takes no user and password in its URL: put a token in ERRAND_TOKEN.')
  }
  if (url.search !== '' || url.hash !== '') throw refused('takes no parameters in its URL.')
  url.pathname = url.pathname.replace(/\/+$/, '')
  return url
}

/** As people read it: without a slash at the end. */
export function locationOf(url: URL): string {
  return `${url.origin}${url.pathname.replace(/\/$/, '')}`
}

/** Whether a token would cross a network where everybody can read it. */
export function isOpen({ protocol, hostname }: URL): boolean {
  const isLocal = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname)
  return protocol === 'http:' && !isLocal
}

function refused(why: string): ErrandError {
  return new ErrandError('invalid-option', `http() ${why}`)
}

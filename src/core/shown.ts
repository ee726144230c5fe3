/** Values as messages may show them: short, on one line, and without passwords. */

const longestText = 80

/** Writes a value of any kind, for a message that refuses it. Never throws. */
export function shownValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > longestText ? `${value.slice(0, longestText)}…` : value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? 'a list' : 'an object'
    case 'function':
      return 'a function'
    case 'bigint':
      return `${value}n`
    case 'symbol':
      return 'a symbol'
    default:
      return String(value)
  }
}

/** What to look at first when the address of a store is missing. */
export function maybeUnset(value: unknown): string {
  return value === undefined || value === null || value === ''
    ? ': is the environment variable set that it comes from?'
    : ''
}

/** Writes a URL without user, password and the values of its parameters; of what is no URL, only what cannot be a password. */
export function shownUrl(url: unknown): string {
  if (typeof url !== 'string') return shownValue(url)
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*:(?:\/\/)?)?(.*)$/is.exec(url) ?? []
  const at = rest.lastIndexOf('@')
  const shown = at === -1 ? rest : `…${rest.slice(at)}`
  if (scheme.endsWith('//') && at === -1 && !URL.canParse(url)) return `${scheme}…`
  return `${scheme}${shown.replaceAll(/=[^&]*/g, '=…').replace(/#.*$/s, '#…')}`
}

/** What to do about a URL that `isTorn`. */
export const encodeAdvice =
  'Percent-encode what stands in its user and password: / as %2F, @ as %40, # as %23, ? as %3F.'

/** Tells whether a password that is not percent-encoded tears a URL apart: its rest would pass for a path or a parameter. */
export function isTorn(text: string): boolean {
  const at = text.lastIndexOf('@')
  if (at === -1) return false
  const url = URL.parse(text)
  if (url === null) return /[/?#@]/.test(text.slice(text.indexOf('//') + 2, at))
  return (
    url.hash !== '' ||
    url.pathname.includes('@') ||
    [...url.searchParams.keys()].some((name) => name.includes('@'))
  )
}

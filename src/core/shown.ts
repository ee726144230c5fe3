/** What comes from elsewhere, as messages and terminals may show it: without control characters and passwords, on one line. */

const longestText = 80

/** What moves the cursor, changes colours or titles, or turns the direction of what follows; line ends and tabs apart. */
const commands = /(?![\n\t])[\p{Cc}\u2028-\u202E\u2066-\u2069]/gu

/** Writes a text so that a terminal shows it and does nothing that it says: `\x1b` for an escape. Line ends and tabs stay. */
export function visible(text: string): string {
  return text.replaceAll(commands, codeOf)
}

/** `visible` on one line: so that a text from elsewhere cannot pass for a line of its own. */
export function inLine(text: string): string {
  return visible(text.replaceAll('\n', '\\n').replaceAll('\t', '\\t'))
}

function codeOf(character: string): string {
  const code = character.charCodeAt(0)
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
}

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
    case 'boolean':
    case 'number':
    case 'undefined':
      return String(value)
  }
}

/** What to look at first when the address of a store is missing. */
export function maybeUnset(value: unknown): string {
  return value === undefined || value === null || value === ''
    ? ': is the environment variable set that it comes from?'
    : '.'
}

/** Writes a URL without user, password and the values of parameters that may be secret; of what is no URL, only what cannot be a password. */
export function shownUrl(url: unknown): string {
  if (typeof url !== 'string') return shownValue(url)
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*:(?:\/\/)?)?(.*)$/is.exec(url) ?? []
  const at = rest.lastIndexOf('@')
  const shown = at === -1 ? rest : `…${rest.slice(at)}`
  if (scheme.endsWith('//') && at === -1 && !URL.canParse(url)) return `${scheme}…`
  const [path = '', query] = shown.replace(/#.*$/s, '#…').split(/\?(.*)/s)
  const parameters = query?.split('&').map((one) => (harmless.test(one) ? one : masked(one)))
  return `${scheme}${path}${parameters === undefined ? '' : `?${parameters.join('&')}`}`
}

/** Parameters of stores whose values are no secrets. */
const harmless = /^(?:schema|prepare|durability|prefix|partitions)=[^@:/]*$/

function masked(parameter: string): string {
  return parameter.replace(/=.*$/s, '=…')
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

/** Where the reader is, kept in the fragment of the URL, so that any mount path and any reload work. */
import { signal } from '@preact/signals'

export interface Place {
  /** Decoded segments: `#/jobs/0199…` is `['jobs', '0199…']`. */
  readonly path: readonly string[]
  readonly query: URLSearchParams
}

export const place = signal(read())

addEventListener('hashchange', () => {
  place.value = read()
})

function read(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2)
  return {
    path: path.split('/').filter(Boolean).map(decoded),
    query: new URLSearchParams(query),
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>

/** The address of a place, for `href`. Segments are encoded here. */
export function to(path: readonly string[], query: Query = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of value === undefined ? [] : [value].flat())
      if (one !== '') parameters.append(name, one)
  }
  const text = parameters.toString()
  return `#/${path.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`
}

/** Goes to a place; `replace` leaves no step behind for the back button. */
export function go(address: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') location.hash = address
  else {
    history.replaceState(null, '', address)
    place.value = read()
  }
}

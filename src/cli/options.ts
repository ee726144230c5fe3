/** Readers of option values, for commander: each answers the value or says what is wrong with it. */
import { InvalidArgumentError } from 'commander'
import { toMs, type Duration } from '../core/duration.ts'

/** Reads a whole number from 1 up. */
export function count(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new InvalidArgumentError('It must be a whole number from 1 up.')
}

/** Reads a priority. */
export function priority(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isInteger(value) && Math.abs(value) <= 1000) return value
  throw new InvalidArgumentError('It must be a whole number from -1000 to 1000; lower runs first.')
}

/** Reads a duration such as `30s`; plain digits are milliseconds. */
export function duration(text: string): Duration {
  try {
    return toMs(/^\d+$/.test(text) ? Number(text) : (text as Duration), 'It')
  } catch {
    throw new InvalidArgumentError(
      'It must be a duration such as 500ms, 30s, 5m or 2h, at most 100 years.',
    )
  }
}

/** Reads a duration or `none`. */
export function durationOrNone(text: string): Duration | 'none' {
  return text === 'none' ? 'none' : duration(text)
}

/** Gathers the values of an option that may be repeated. */
export function several(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

/** Reads how many in how long, such as `600/1m`. */
export function rate(text: string): { readonly requests: number; readonly per: Duration } {
  const [requests = '', per = ''] = text.split('/')
  try {
    return { requests: count(requests), per: duration(per) }
  } catch {
    throw new InvalidArgumentError('It must be a number in a time, such as 600/1m.')
  }
}

/** Reads where to listen: a port of this machine alone, or an address with a port. */
export function listenAt(text: string): { readonly host: string; readonly port: number } {
  const [, host = '127.0.0.1', digits = ''] = /^(?:(\S+):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits !== '' && port <= 65_535) return { host: host.replace(/^\[(.*)\]$/, '$1'), port }
  throw new InvalidArgumentError('It is a port from 0 to 65535, or an address as 0.0.0.0:9464.')
}

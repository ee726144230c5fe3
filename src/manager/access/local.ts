/**
 * Whether a request comes from a program of this machine itself. While no token exists such a program
 * needs none; so what a web page, a name that was pointed here, or a proxy sends must be distinguished from it.
 */

import type { ApiRequest } from '../api-request.ts'

/** The other end of a connection, as the server sees it. */
export interface Peer {
  /** An IP address; empty when there is none. */
  readonly address: string
  readonly httpVersion: string
}

/** What proxies add. */
const proxyHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'cf-connecting-ip',
  'true-client-ip',
]

const localHost = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i

/** Why a request does not count as one from this machine; null for one that does. */
export function whyNotLocal(
  { headers }: ApiRequest,
  { address, httpVersion }: Peer,
): string | null {
  if (!isLoopback(address)) return 'it comes from another machine'
  // The version that nginx speaks by default, whose requests look local otherwise.
  if (httpVersion === '1.0') return 'it is HTTP/1.0, as a proxy may send it'
  if (proxyHeaders.some((name) => headers.has(name))) return 'it came through a proxy'
  if (!localHost.test(headers.get('host') ?? ''))
    return 'its Host is not localhost, 127.0.0.1 or [::1]'
  return whyForeign(headers, 'loopback')
}

/**
 * Why a browser that sent this acts for a page of somebody else; null where it does not. `Host` and
 * `Origin` may differ behind a proxy, where `Sec-Fetch-Site` tells.
 */
export function whyForeign(
  headers: ApiRequest['headers'],
  where: 'loopback' | 'anywhere',
): string | null {
  const site = headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin' && site !== 'none')
    return 'a page of another origin sent it'
  const origin = headers.get('origin')
  if (origin === null || (site === 'same-origin' && where === 'anywhere')) return null
  const host = URL.parse(origin)?.host
  const own = headers.get('host')?.toLowerCase()
  return host !== undefined && host !== '' && host === own
    ? null
    : 'a page of another origin sent it'
}

export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '')
  return plain === '::1' || /^127(?:\.\d{1,3}){3}$/.test(plain)
}

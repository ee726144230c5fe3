/**
 * One request of a webhook. Addresses are looked up once, those that may not be reached are left out, and the address that
 * the connection has in the end is judged again: a name that means another address a moment later gains nothing. Redirects
 * are not followed, connections are not kept, and no proxy is used.
 */
import { lookup as lookUp } from 'node:dns/promises'
import { once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, isIP, type LookupFunction, type Socket, type TcpNetConnectOpts } from 'node:net'
import { connect as secure } from 'node:tls'
import type { AddressRule } from './address-rule.ts'

export interface Delivery {
  /** `http:` or `https:`. */
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly mayReach: AddressRule
  /** The deadline. */
  readonly signal: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The beginning of its body. */
  readonly text: string
}

/** The address is none that may be reached. */
export class RefusedAddress extends Error {
  override readonly name = 'RefusedAddress'
}

/** How names become addresses, and connections are made. Tests put others in their place. */
export interface Network {
  lookup(host: string): Promise<readonly { readonly address: string; readonly family: number }[]>
  connect(options: TcpNetConnectOpts): Socket
}

const network: Network = {
  lookup: (host) => lookUp(host, { all: true }),
  connect: (options) => connect(options),
}

/** What is read of an answer; the rest is cut off with the connection. */
const mostBytes = 16 * 1_024

/**
 * Posts and resolves with whatever status came. Rejects with `RefusedAddress`, with the signal's reason, and with the error of
 * the connection.
 */
export async function deliver(delivery: Delivery, through: Network = network): Promise<Answer> {
  const { signal } = delivery
  signal.throwIfAborted()
  let socket: Socket | null = null
  try {
    socket = await open(delivery, through)
    return await exchange(delivery, await secured(delivery, socket))
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    socket?.destroy()
  }
}

async function open({ url, mayReach, signal }: Delivery, through: Network): Promise<Socket> {
  const host = hostOf(url)
  const family = isIP(host)
  const found =
    family === 0 ? await within(signal, through.lookup(host)) : [{ address: host, family }]
  const allowed = found.filter(({ address }) => mayReach(address))
  if (allowed.length === 0) throw refusal(host, found[0]?.address ?? 'no address')
  const lookup: LookupFunction = (_host, options, done) => {
    if (options.all) done(null, [...allowed])
    else done(null, allowed[0]?.address ?? '', allowed[0]?.family)
  }
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const socket = through.connect({ host, port, lookup, autoSelectFamily: true })
  socket.on('error', () => {})
  try {
    await once(socket, 'connect', { signal })
    const { remoteAddress = 'no address' } = socket
    if (!mayReach(remoteAddress)) throw refusal(host, remoteAddress)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function refusal(host: string, address: string): RefusedAddress {
  return new RefusedAddress(
    `${host === address ? `${host} is` : `${host} is at ${address}, which is`} not on the public internet. If it is meant, allow it: webhook({ allow: ['${address}'] }).`,
  )
}

/** A lookup of a name cannot be aborted, but it need not be waited for. */
async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  try {
    return await Promise.race([work, once(signal, 'abort', { signal: over.signal }).then(rejected)])
  } finally {
    over.abort()
  }
}

function rejected(): never {
  throw new Error('aborted')
}

async function secured({ url, signal }: Delivery, socket: Socket): Promise<Socket> {
  if (url.protocol !== 'https:') return socket
  const host = hostOf(url)
  const servername = isIP(host) === 0 ? host : ''
  const made = secure({ socket, host, servername, ALPNProtocols: ['http/1.1'] })
  made.on('error', () => {})
  await once(made, 'secureConnect', { signal })
  return made
}

async function exchange({ url, headers, body, signal }: Delivery, socket: Socket): Promise<Answer> {
  const sending = request({
    method: 'POST',
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, 'content-length': Buffer.byteLength(body), ...headers },
    createConnection: () => socket,
    signal,
  })
  const answered = once(sending, 'response', { signal }) as Promise<[IncomingMessage]>
  sending.on('error', () => {})
  sending.end(body)
  const [reply] = await answered
  return {
    status: reply.statusCode ?? 0,
    headers: reply.headers,
    text: await beginning(reply),
  }
}

/** The status says how it went: an error of the body after that does not matter. */
async function beginning(reply: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of reply as AsyncIterable<Buffer>) {
      parts.push(part)
      bytes += part.length
      if (bytes >= mostBytes) break
    }
  } catch {
    // Cut off, or too slow for the deadline.
  }
  return Buffer.concat(parts).toString('utf8', 0, mostBytes)
}

function hostOf(url: URL): string {
  return url.hostname.replaceAll(/^\[|\]$/g, '')
}

/** The manager for servers of Node. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { clearTimeout, setTimeout } from '../core/timers.ts'
import type { Door } from './door.ts'
import { NodeRequest } from './node-request.ts'
import { Problem, problemResponse } from './problem.ts'
import { writable } from './text-response.ts'

export type NodeListener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>

/** How long a client may go on sending what nobody reads, so that it comes to read its answer. */
const hearOutMs = 500

/** What Express leaves of a request. */
interface Mounted {
  /** The whole path, where `url` is what comes after a mount. */
  readonly originalUrl?: string
}

export function nodeListener(door: Door): NodeListener {
  return async (incoming: IncomingMessage & Mounted, outgoing) => {
    if (lacksSlash(incoming)) return redirect(incoming, outgoing)
    const request = new NodeRequest(incoming, outgoing)
    const response = request.isValid ? await door(request, request, request.source) : invalid()
    if (outgoing.destroyed) return void response.body?.cancel().catch(ignored)
    const known = writable(response)
    if (known === null) await stream(response, outgoing)
    else {
      const { text, status, fields } = known
      if (text !== '') fields['content-length'] = String(Buffer.byteLength(text))
      outgoing.writeHead(status, fields)
      outgoing.end(text)
    }
    if (!incoming.complete) hearOut(incoming)
  }
}

/** Whether the mount itself is asked for without a slash at its end, from which the dashboard's files are not found. */
function lacksSlash({ url, originalUrl, method }: IncomingMessage & Mounted): boolean {
  return (
    originalUrl !== undefined &&
    url === '/' &&
    !originalUrl.split('?', 1)[0]?.endsWith('/') &&
    (method === 'GET' || method === 'HEAD')
  )
}

function redirect({ originalUrl = '' }: Mounted, outgoing: ServerResponse): void {
  const location = `${originalUrl.slice(originalUrl.lastIndexOf('/') + 1)}/`
  outgoing.writeHead(308, { location }).end()
}

function invalid(): Response {
  return problemResponse(new Problem('invalid-option', 'The request names no valid URL and host.'))
}

/** Writes what comes bit by bit. Who goes away in the middle of it hears no error. */
async function stream(
  { status, headers, body }: Response,
  outgoing: ServerResponse,
): Promise<void> {
  outgoing.writeHead(status, Object.fromEntries(headers))
  if (body === null) return void outgoing.end()
  outgoing.flushHeaders()
  await pipeline(Readable.fromWeb(body), outgoing).catch(ignored)
}

/** Throws away the rest of a body; closes the connection when that takes too long. */
function hearOut(incoming: IncomingMessage): void {
  const late = setTimeout(() => incoming.socket.destroySoon(), hearOutMs)
  late.unref()
  incoming.once('close', () => clearTimeout(late))
  incoming.resume()
}

function ignored(): undefined {
  return undefined
}

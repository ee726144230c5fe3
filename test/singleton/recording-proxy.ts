/** A proxy before a server that speaks HTTP: it passes requests on and keeps them as they came. */
import { once } from 'node:events'
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** A request as it came over the wire. */
export interface Recorded {
  /** Method and target: `PUT /v1/kv/a?acquire=…`. */
  readonly line: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface RecordingProxy {
  readonly url: string
  readonly requests: readonly Recorded[]
  close(): void
}

/** Certificates of a proxy that speaks TLS, and asks for one of the client. */
interface Certificates {
  readonly cert: Buffer
  readonly key: Buffer
  /** The authority that clients must have. */
  readonly ca: Buffer
}

export async function recordingProxy(target: string, tls?: Certificates): Promise<RecordingProxy> {
  const requests: Recorded[] = []
  const passOn = (incoming: IncomingMessage, response: ServerResponse): void => {
    const { method = 'GET', headers, url = '/' } = incoming
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks)
      requests.push({ line: `${method} ${url}`, headers, body: body.toString('utf8') })
      const outgoing = request(new URL(url, target), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
      outgoing.on('error', () => response.destroy())
      response.on('close', () => outgoing.destroy())
      outgoing.end(body)
    })
  }
  const server =
    tls === undefined
      ? createServer(passOn)
      : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, passOn)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    requests,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

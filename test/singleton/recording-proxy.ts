/** A proxy before a server that speaks HTTP: it passes requests on and keeps them as they came. */
import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
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

export async function recordingProxy(target: string): Promise<RecordingProxy> {
  const requests: Recorded[] = []
  const server = createServer((incoming, response) => {
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
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

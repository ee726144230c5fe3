/** Serves the metrics and the health of a process that has no other server. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { clearTimeout, setTimeout } from '../../core/timers.ts'
import { hubOf } from '../hub-of.ts'
import { healthOf, type Health } from '../health.ts'
import { prometheus, type Measured } from './prometheus.ts'

/** Where to listen. */
export interface MetricsAddress {
  readonly host: string
  readonly port: number
}

/** Bounds against slow readers; times in milliseconds. */
const bounds = { connections: 64, requestMs: 10_000, againMs: 10_000 } as const

/**
 * Serves `/metrics`, `/health` and `/ready`. A port that is taken disturbs nothing: it is said once,
 * and tried again every ten seconds. Returns what ends it.
 */
export function serveMetrics(errand: Measured, { host, port }: MetricsAddress): () => void {
  const metrics = prometheus(errand)
  const server = createServer((request, response) => {
    void respond(
      request,
      response,
      () => metrics.text(),
      () => healthOf(errand),
      metrics.contentType,
    )
  })
  Object.assign(server, {
    maxConnections: bounds.connections,
    requestTimeout: bounds.requestMs,
    headersTimeout: bounds.requestMs,
  })
  const stopListening = listenUntil(server, { host, port }, (error) =>
    hubOf(errand).warn('metrics-port', { address: `${host}:${port}`, error }),
  )
  return () => {
    stopListening()
    metrics.stop()
  }
}

/** Listens as soon as it can; `failed` is called with the first failure. */
function listenUntil(
  server: Server,
  address: MetricsAddress,
  failed: (error: Error) => void,
): () => void {
  let again: NodeJS.Timeout | null = null
  let isTold = false
  server.on('error', (error) => {
    if (!isTold) failed(error)
    isTold = true
    again = setTimeout(() => server.listen(address), bounds.againMs)
    again.unref()
  })
  server.listen(address)
  server.unref()
  return () => {
    if (again !== null) clearTimeout(again)
    server.close()
    server.closeAllConnections()
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  text: () => Promise<string>,
  health: () => Health,
  type: string,
): Promise<void> {
  const send = (status: number, body: string, contentType: string): void => {
    response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
  request.resume()
  const path = (request.url ?? '').split('?')[0]
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, '', 'text/plain')
  if (path === '/metrics') return send(200, await text(), type)
  if (path !== '/health' && path !== '/ready')
    return send(404, 'There are /metrics, /health and /ready.\n', 'text/plain')
  const { isAlive, isReady, why } = health()
  const isWell = path === '/health' ? isAlive : isReady
  const body = JSON.stringify({ status: isWell ? 'ok' : 'failing', ...(isWell ? {} : { why }) })
  send(isWell ? 200 : 503, `${body}\n`, 'application/json')
}

/** SQS for tests: fauxqs in this process, behind a proxy at which calls can be counted, changed, refused and held. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { startFauxqs, type FauxqsServer } from 'fauxqs'

/** One call: its name, such as `DeleteMessageBatch`, and its JSON. */
export interface SqsCall {
  readonly name: string
  readonly body: Record<string, unknown>
}

/** What becomes of a call: `pass` hands it to the server, and returns the answer, which may be changed. */
export type Interceptor = (
  call: SqsCall,
  pass: (body?: Record<string, unknown>) => Promise<SqsAnswer>,
) => Promise<SqsAnswer | 'cut' | 'silence'>

export interface SqsAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

export interface SqsServer {
  readonly fauxqs: FauxqsServer
  /** For the SDK. */
  readonly client: {
    readonly endpoint: string
    readonly region: string
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
    readonly maxAttempts: number
  }
  /** Names of all calls so far. */
  readonly calls: string[]
  /** Puts something between client and server; null takes it away. */
  intercept(interceptor: Interceptor | null): void
  /** Ends all connections that are open. */
  cut(): Promise<void>
  stop(): Promise<void>
}

/** With `endsPolls`, a long poll ends with its client, so that it takes nothing for one that is dead; fauxqs alone goes on. */
export async function startSqs({ endsPolls = false } = {}): Promise<SqsServer> {
  const fauxqs = await startFauxqs({ port: 0, logger: false })
  const calls: string[] = []
  let between: Interceptor | null = null
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = await buffer(request)
    const name = String(request.headers['x-amz-target']).split('.')[1] ?? ''
    calls.push(name)
    const body = JSON.parse(sent.toString()) as Record<string, unknown>
    const pass = async (changed = body): Promise<SqsAnswer> => {
      const answer = await fetch(`http://127.0.0.1:${fauxqs.port}/`, {
        method: 'POST',
        headers: {
          'x-amz-target': String(request.headers['x-amz-target']),
          'content-type': 'application/x-amz-json-1.0',
        },
        body: JSON.stringify(changed),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    }
    const isPoll = endsPolls && name === 'ReceiveMessage'
    const answer = await (between !== null
      ? between({ name, body }, pass)
      : isPoll
        ? polled(body, pass, () => response.destroyed)
        : pass())
    if (answer === 'cut') return void response.destroy()
    if (answer === 'silence' || response.destroyed) return
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' })
    response.end(JSON.stringify(answer.body))
  }
  const proxy = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    fauxqs,
    calls,
    client: {
      endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts: 1,
    },
    intercept: (interceptor) => (between = interceptor),
    cut: async () => proxy.closeAllConnections(),
    stop: async () => {
      proxy.closeAllConnections()
      proxy.close()
      await fauxqs.stop()
    },
  }
}

const lookMs = 50

/** A long poll as many short ones. */
async function polled(
  body: Record<string, unknown>,
  pass: (body: Record<string, unknown>) => Promise<SqsAnswer>,
  isGone: () => boolean,
): Promise<SqsAnswer> {
  const endsAt = performance.now() + 1_000 * Number(body['WaitTimeSeconds'] ?? 0)
  for (;;) {
    const answer = await pass({ ...body, WaitTimeSeconds: 0 })
    const isOver = answer.status !== 200 || answer.body['Messages'] !== undefined
    if (isOver || isGone() || performance.now() >= endsAt) return answer
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
}

/** Apps behind managers, in this process and at private ports, and ways to speak to them. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createErrand, task, type Errand, type Store } from 'errand'
import {
  listen,
  manager,
  type Manager,
  type ManagerOptions,
  type ManagerServer,
  type ServerOptions,
} from 'errand/manager'
import { memory } from 'errand/memory'
import { z } from 'zod'
import { compileSchema } from '../../src/app/json-schema.ts'
import { managerOf } from '../../src/manager/manager.ts'
import type { Answer, Method, Route } from '../../src/manager/route.ts'
import { routes as allRoutes } from '../../src/manager/routes/index.ts'

/** Adds two numbers. */
export const add = task({
  name: 'add',
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => ({ sum: a + b }),
})

export const boom = task({
  name: 'boom',
  retry: 'never',
  run() {
    throw new TypeError('it broke')
  },
})

/** Returns the headers of its job. */
export const headers = task({
  name: 'headers',
  run: (_input: unknown, job) => job.headers,
})

/** Takes anything, in a queue of its own. */
export const any = task({ name: 'any', queue: 'other', run: (input: unknown) => input })

/** One job of an input waits at a time. */
export const single = task({ name: 'single', unique: true, run: (input: unknown) => input })

export const tasks = [add, boom, headers, any, single] as const

export interface Sent {
  readonly json?: unknown
  /** A body as it is, in place of `json`. */
  readonly raw?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export type Send = (method: Method | 'PUT', path: string, sent?: Sent) => Promise<Answered>

export interface Api extends AsyncDisposable {
  readonly errand: Errand
  readonly manager: Manager
  readonly send: Send
}

/** An app on a store of its own, in memory by default, whose queues are all open. */
export function api(store: Store = memory()): Api {
  const errand = createErrand({ store, tasks, queues: { '*': {} } })
  const own = manager(errand, { access: 'open' })
  return {
    errand,
    manager: own,
    send: sendTo(own.fetch),
    async [Symbol.asyncDispose]() {
      await own.stop()
      await errand.close()
    },
  }
}

/** Sends requests to a handler, or over a socket by `fetch`. */
export function sendTo(
  handle: (request: Request) => Promise<Response>,
  base = 'http://127.0.0.1:8220',
): Send {
  return async (method, path, { json, raw, headers: own = {}, signal } = {}) => {
    const body = raw ?? (json === undefined ? undefined : JSON.stringify(json))
    const response = await handle(
      new Request(`${base}${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...own },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      }),
    )
    const answer = await answered(response)
    await checkAnswer(method, path, answer)
    return answer
  }
}

const checks = new Map<Answer, Promise<(body: unknown) => void>>()

/** Every answer fits what its route says of it, so that the document of the API may say it, too. */
async function checkAnswer(
  method: string,
  path: string,
  { status, body }: Answered,
): Promise<void> {
  const target = path.split('?')[0] ?? ''
  const route = allRoutes.find(
    (one) =>
      one.method === method &&
      new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(target),
  )
  if (route === undefined || route.tag === 'store') return
  const answer = route.answers[status]
  if (answer === undefined) {
    assert.ok(status >= 400, `${route.id} answers ${status}, which its route does not name`)
    return
  }
  if (answer.schema === undefined) return
  let check = checks.get(answer)
  if (check === undefined) {
    check = compileSchema(JSON.stringify(answer.schema), `${route.id} ${status}`, 'own')
    checks.set(answer, check)
  }
  ;(await check)(body)
}

/** The id of a job that a request has added. */
export async function added(send: Send, path: string, json?: unknown): Promise<string> {
  const { status, body } = await send('POST', path, json === undefined ? {} : { json })
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(body)}`)
  return (body as { readonly id: string }).id
}

const hello = task({ name: 'hello', run: (input: unknown) => input })
const mail = task({ name: 'mail', queue: 'mail', run: (input: unknown) => input })

export interface Given extends ManagerOptions, ServerOptions {
  readonly store?: Store
  readonly routes?: readonly Route[]
}

export interface Managed {
  readonly errand: Errand
  readonly server: ManagerServer
  readonly port: number
  /** Sends JSON, with a token if one is given. */
  readonly ask: (method: string, path: string, options?: AskOptions) => Promise<Answered>
}

interface AskOptions {
  readonly token?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  /** The parsed body, or its text; undefined for none. */
  readonly body: unknown
}

/** Starts a manager; the end of the test stops it. */
export async function manage(context: TestContext, given: Given = {}): Promise<Managed> {
  const { store = memory(), routes = allRoutes, ...rest } = given
  const { host, port: wanted = 0, tls, plainHttp, maxConnections, limits, ...options } = rest
  const errand = createErrand({ store, tasks: [hello, mail] })
  const server = await listen(managerOf(errand, routes, options), {
    port: wanted,
    ...(host === undefined ? {} : { host }),
    ...(tls === undefined ? {} : { tls }),
    ...(plainHttp === undefined ? {} : { plainHttp }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(limits === undefined ? {} : { limits }),
  })
  context.after(async () => {
    await server.close({ grace: 0 })
    await errand.close()
  })
  return { errand, server, port: Number(new URL(server.url).port), ask: asker(server.url) }
}

export function asker(url: string): Managed['ask'] {
  return async (method, path, { token, body, headers = {} } = {}) =>
    answered(
      await fetch(url + path, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    )
}

export async function answered(response: Response): Promise<Answered> {
  const { status, headers: fields } = response
  const text = await response.text()
  const isJson = fields.get('content-type')?.includes('json') ?? false
  const body: unknown = text === '' ? undefined : isJson ? JSON.parse(text) : text
  return { status, headers: fields, body }
}

/** Asks again and again until something holds; the time limit of its test ends a wait in vain. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await setImmediate()
}

/** A connection that says just what it is told to. */
export class Wire {
  readonly socket: Socket
  #heard = ''
  readonly #looks = new Set<() => void>()
  readonly closed: Promise<void>

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect(port, host)
    this.socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.#heard += chunk
      for (const look of this.#looks) look()
    })
    // A server that closes the connection may reset it.
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()))
  }

  get heard(): string {
    return this.#heard
  }

  say(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Resolves once so much was heard; rejects when the connection ends before. */
  async until(wanted: RegExp): Promise<string> {
    const seen = new Promise<void>((resolve) => {
      const look = (): void => void (wanted.test(this.#heard) && resolve())
      this.#looks.add(look)
      look()
    })
    const over = this.closed.then(() => {
      if (!wanted.test(this.#heard))
        throw new Error(`The connection closed before ${wanted.source} came: ${this.#heard}`)
    })
    await Promise.race([seen, over])
    return this.#heard
  }
}

/** Says one request over a connection of its own, and returns the status of the answer. */
export async function status(port: number, lines: readonly string[], body = ''): Promise<number> {
  const wire = new Wire(port)
  wire.say(`${lines.join('\r\n')}\r\n\r\n${body}`)
  const heard = await wire.until(/^HTTP\/1\.1 \d{3}/)
  wire.socket.destroy()
  return Number(heard.slice(9, 12))
}

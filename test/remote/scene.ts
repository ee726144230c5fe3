/** A manager's handler with callers of any rights, called without a network. */
import { createErrand, type Errand } from 'errand'
import { memory } from '../../src/stores/memory/index.ts'
import type { Store } from '../../src/store/store.ts'
import type { NewJob } from '../../src/store/job.ts'
import { newJob } from '../../src/testing/conformance/jobs.ts'
import { everybody, type Caller, type Scope } from '../../src/manager/caller.ts'
import { manager } from '../../src/manager/manager.ts'
import type { Method } from '../../src/manager/route.ts'

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

export interface ManagerScene {
  readonly errand: Errand
  readonly store: Store
  /** Answers requests as one of everybody's. */
  readonly fetchAs: (caller: Caller) => (request: Request) => Promise<Response>
  /** Sends a body as it is, or as JSON. */
  readonly post: (path: string, body: unknown, how?: How) => Promise<Answered>
  /** Makes a call of the store; answers its value, or the code of the problem. */
  readonly call: (name: string, args: readonly unknown[], caller?: Caller) => Promise<unknown>
}

interface How {
  readonly caller?: Caller
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export function managerScene(
  config: Partial<Parameters<typeof createErrand>[0]> = {},
): ManagerScene {
  const store = config.store ?? memory()
  const errand = createErrand({ queues: { '*': {} }, ...config, store })
  const callers = new WeakMap<Request, Caller>()
  const { fetch } = manager(errand, {
    maxBody: 1_000_000,
    access: (request) => {
      const { scopes, queues, token } = callers.get(request) ?? everybody
      const id = token === null ? {} : { id: token }
      return { scopes: [...scopes], ...id, ...(queues === null ? {} : { queues: [...queues] }) }
    },
  })
  const post: ManagerScene['post'] = async (path, body, how = {}) => {
    const request = new Request(`http://manager${path}`, {
      method: 'POST' satisfies Method,
      headers: { 'content-type': 'application/json', ...how.headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(how.signal === undefined ? {} : { signal: how.signal }),
    })
    if (how.caller !== undefined) callers.set(request, how.caller)
    const response = await fetch(request)
    const { status, headers } = response
    return { status, headers, body: (await response.json()) as Answered['body'] }
  }
  return {
    errand,
    store,
    fetchAs: (caller) => (request) => {
      callers.set(request, caller)
      return fetch(request)
    },
    post,
    async call(name, args, caller = everybody) {
      const { status, body } = await post(`/v1/store/${name}`, args, { caller })
      return status === 200 ? body['answer'] : body['code']
    },
  }
}

export function callerWith(
  scopes: readonly Scope[],
  queues: readonly string[] | null = null,
): Caller {
  return {
    token: 'token',
    scopes: new Set(scopes),
    queues: queues === null ? null : new Set(queues),
  }
}

export function jobIn(queue: string, over: Partial<NewJob> = {}): NewJob {
  return newJob({ queue, ...over })
}

/**
 * What the fuzz plays on: a manager without the code of its tasks, jobs whose payloads must not be seen by everybody, and callers
 * with different scopes.
 */
import { createErrand, schedule, singleton, task, workflow, type Errand } from 'errand'
import { manager, tokens, type NewToken } from 'errand/manager'
import * as z from 'zod'
import type { Caller, Scope } from '../../src/manager/caller.ts'
import type { Store } from '../../src/store/store.ts'
import { maxBody } from './requests.ts'

export const queues = ['mails', 'images', 'bulk'] as const
type Queue = (typeof queues)[number]

const recipient = z.object({
  name: z.string().min(1),
  address: z.string().regex(/^[^@\s]+@[^@\s]+$/),
})
const input = z.object({
  to: z.union([recipient, z.array(recipient).min(1).max(3)]),
  size: z.int().min(1).max(100),
  note: z.string().optional(),
})
const node: z.ZodType = z.strictObject({
  name: z.string(),
  get next() {
    return node.optional()
  },
})

/** What each planted payload of a queue holds; no request ever sends it. */
export function secretOf(queue: string): string {
  return `payload-of-${queue}`
}

const plain = task({ name: 'plain', queue: 'bulk', run: (value: unknown) => value })

const tasks = [
  task({
    name: 'mail.send',
    input,
    output: z.object({ sent: z.string() }),
    queue: ['mails', 'bulk'],
    examples: [{ to: [{ name: 'a', address: 'a@b' }], size: 1 }],
    retry: { limit: 0 },
    run: ({ note = '' }, job) => {
      job.log.info(note)
      if (note.startsWith('fail')) throw new Error(note)
      return { sent: note }
    },
  }),
  task({ name: 'images/resize it', input: node, queue: 'images', run: (value) => value }),
  plain,
]

/** Several, for requests remove them. */
const schedules = ['nightly', 'weekly', 'yearly'].map((name) =>
  schedule({ name, task: 'plain', input: { note: secretOf('bulk') }, cron: '0 3 1 1 *' }),
)

/** One step after the other, so that a run has not ended, and may be cancelled and retried. */
const flow = workflow({
  name: 'flow',
  build(w) {
    const first = w.add('first', plain, {}, { delay: '1h' })
    w.output(w.add('second', plain, { first: first.output }).output)
  },
})

/** A job that runs, and the token of its lease. */
export interface Lease {
  readonly id: string
  readonly token: number
}

/** What was planted, as requests name it. */
interface Planted {
  /** The queue of each job. */
  readonly queueOf: Map<string, string>
  /** Jobs that have ended well, and badly. */
  readonly ended: { readonly well: string[]; readonly badly: string[] }
  readonly runs: string[]
  readonly tokens: NewToken[]
  readonly leases: Lease[]
}

export interface Call {
  readonly who: string
  readonly request: Request
}

export interface Ground extends AsyncDisposable {
  readonly callers: ReadonlyMap<string, Caller | null>
  readonly store: Store
  readonly send: (call: Call) => Promise<Response>
  /** Adds what there is to be seen and to be spoiled. */
  readonly plant: () => Promise<void>
  /** What a parameter of a name may name in a path. */
  readonly known: (parameter: string, template: string) => readonly string[]
  readonly lease: (n: number) => Lease | null
  /** The queue of a planted job. */
  readonly queueOf: ReadonlyMap<string, string>
  /** Tokens that no answer may show. */
  readonly tokens: readonly NewToken[]
}

const caller = (scopes: readonly Scope[], of: readonly Queue[] | null, token: string): Caller => ({
  token,
  scopes: new Set(scopes),
  queues: of === null ? null : new Set(of),
})

const callers = new Map<string, Caller | null>([
  ['all', caller(['read', 'enqueue', 'operate', 'work', 'admin'], null, 'all')],
  ['reads mails', caller(['read'], ['mails'], 'reads-mails')],
  ['adds anywhere', caller(['enqueue'], null, 'adds')],
  ['adds to images and reads them', caller(['enqueue', 'read'], ['images'], 'images')],
  ['operates bulk', caller(['operate'], ['bulk'], 'operates')],
  ['may nothing', caller([], null, 'nothing')],
  ['is unknown', null],
])

/** Opens the ground on a store. */
export async function openGround(store: Store): Promise<Ground> {
  const workers = createErrand({ store, tasks, workflows: [flow], queues: { leased: {} } })
  const worker = workers.worker({ queues: ['mails'] })
  await worker.start()
  await worker.stop()
  // The manager knows no task but from the registry.
  const alone = singleton({ name: 'alone', async run() {} })
  const errand = createErrand({ store, workflows: [flow], singletons: [alone] })
  const queueOf = new Map<string, string>()
  const planted: Planted = {
    queueOf,
    ended: { well: [], badly: [] },
    runs: [],
    tokens: [],
    leases: [],
  }
  const { fetch: handle } = manager(errand, {
    maxBody,
    access: (request) => {
      const who = callers.get(request.headers.get('x-caller') ?? '')
      if (who === undefined || who === null) return null
      const { scopes, queues: only, token } = who
      return {
        scopes: [...scopes],
        id: token ?? '',
        ...(only === null ? {} : { queues: [...only] }),
      }
    },
  })
  return {
    callers,
    store,
    queueOf,
    tokens: planted.tokens,
    send: async ({ who, request }) => {
      request.headers.set('x-caller', who)
      return handle(request)
    },
    plant: () => plant(workers, planted),
    known(parameter, template) {
      if (parameter === 'id' && template.startsWith('/v1/workflows')) return planted.runs.slice(-4)
      if (parameter === 'id' && template.startsWith('/v1/tokens'))
        return planted.tokens.slice(-4).map(({ id }) => id)
      if (parameter === 'token') return planted.tokens.slice(-4).map(({ token }) => token)
      return parameter === 'id' || parameter === 'job' || parameter === 'parent'
        ? [...queueOf.keys()].slice(-40).concat(endedFor(template, planted))
        : (namesOf[parameter] ?? ['planted', 'nightly', ...queues])
    },
    lease: (n) => planted.leases.at(-1 - (n % mostLeases)) ?? null,
    async [Symbol.asyncDispose]() {
      await errand.close()
    },
  }
}

/** Jobs that are as a route needs them, as many as there are others. */
function endedFor(template: string, { ended }: Planted): readonly string[] {
  const needed = /\/(?:take|result)$/.test(template) ? ended.well : ended.badly
  return /\/(?:take|result|retry)$/.test(template) ? Array(10).fill(needed.slice(-4)).flat() : []
}

/** So many jobs run at a time. */
const mostLeases = 12

const namesOf: Readonly<Record<string, readonly string[]>> = {
  queue: [...queues, 'default'],
  task: tasks.map(({ name }) => name),
  schedule: schedules.map(({ name }) => name),
  singleton: ['alone'],
  workflow: ['flow'],
  state: ['ready', 'completed', 'failed'],
  delay: ['10s', '1h', '0s'],
  tag: ['planted'],
  key: [...queues.map((queue) => `planted ${queue}`), 'other'],
  'Idempotency-Key': ['"one"', '"two"', 'three'],
}

/** A job of each kind in each queue: waiting, due later, with a unique key, ended well, ended badly; and what else there is. */
async function plant(errand: Errand, planted: Planted): Promise<void> {
  const { queueOf, ended } = planted
  const [send] = tasks
  for (const one of schedules) await errand.schedules.put(one)
  for (const queue of ['mails', 'bulk'] as const) {
    const secret = secretOf(queue)
    const to = { name: 'a', address: 'a@b' }
    const labels = { queue, tags: ['planted'], headers: { planted: 'yes' } } as const
    const add = async (note: string, options: object): Promise<string> => {
      const job = await errand.enqueue(
        send as never,
        { to, size: 1, note } as never,
        { ...labels, ...options } as never,
      )
      const { id } = job as { readonly id: string }
      queueOf.set(id, queue)
      return id
    }
    await add(secret, {})
    await add(secret, { delay: '1h' })
    await add(secret, { unique: { key: `planted ${queue}` } })
    ended.well.push(await add(secret, { inline: true }))
    ended.badly.push(await add(`fail ${secret}`, { inline: true }))
  }
  const job = await errand.enqueue('images/resize it', { name: secretOf('images') })
  queueOf.set(job.id, 'images')
  await plantRest(errand, planted)
}

/** Runs of a workflow, one of them cancelled; a token; jobs under leases. */
async function plantRest(errand: Errand, { runs, tokens: made, leases }: Planted): Promise<void> {
  const [cancelled, open] = [await errand.start(flow), await errand.start(flow)]
  await cancelled.cancel()
  runs.push(cancelled.id, open.id)
  made.push(await tokens(errand).create({ scopes: ['read'] }))
  await errand.enqueueMany(
    Array.from({ length: mostLeases }, () => ['plain', {}, { queue: 'leased' }] as const),
  )
  const { jobs } = await errand.store.claim({
    worker: 'fuzz',
    queues: [{ name: 'leased', limit: mostLeases }],
    others: 0,
    limit: mostLeases,
    leaseMs: 3_600_000,
    maxLosses: null,
    id: null,
  })
  leases.push(...jobs.map(({ id, token }) => ({ id, token })))
}

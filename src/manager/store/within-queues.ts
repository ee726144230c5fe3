/**
 * The calls of a caller whose token names queues: jobs in others are as if they did not exist, and calls that would reach them are refused.
 * A lease is its own proof: who has its token may renew and settle it.
 */
import { controlKey, restartLocks, withoutWords } from '../../core/control.ts'
import type { CallName } from '../../store/calls.ts'
import type { InsertOptions } from '../../store/intake.ts'
import type { NewJob, StoredJob } from '../../store/job.ts'
import type { HoldRequest } from '../../store/locks.ts'
import type { ListQuery, RecordedQuery } from '../../store/readers.ts'
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import type { Store } from '../../store/store.ts'
import type { ClaimRequest, RescueRequest, Settlement } from '../../store/worker-calls.ts'
import { Problem } from '../problem.ts'

/** Ids of what cannot exist, in the place of jobs that the caller may not touch. */
const nobodys = '00000000-0000-7000-8000-000000000000'

type Call = (store: Store, args: readonly unknown[], queues: ReadonlySet<string>) => unknown

/** Makes a call as far as it stays within the queues. */
export function callWithin(
  store: Store,
  name: CallName,
  args: readonly unknown[],
  queues: ReadonlySet<string>,
): unknown {
  return narrowed[name](store, args, queues)
}

const narrowed: Readonly<Record<CallName, Call>> = {
  insert(store, [jobs, options], queues) {
    const { advance } = (options ?? {}) as InsertOptions
    if (advance?.length) throw forbidden('moves no records')
    return store.insert(jobsWithin(jobs as readonly NewJob[], queues))
  },
  claim(store, [given], queues) {
    const { others, ...request } = given as ClaimRequest
    const named = new Set(request.queues.map(({ name }) => name))
    for (const name of named) checkQueue(name, queues)
    const rest = [...queues].filter((name) => others > 0 && !named.has(name))
    const added = rest.map((name) => ({ name, limit: others }))
    return store.claim({ ...request, others: 0, queues: [...request.queues, ...added] })
  },
  settle(store, [settlements], queues) {
    const within = (settlements as readonly Settlement[]).map((one) => ({
      ...one,
      followUps: jobsWithin(one.followUps, queues),
    }))
    return store.settle(within)
  },
  renew: (store, args) => straight(store, 'renew', args),
  note: (store, args) => straight(store, 'note', args),
  record: (store, args) => straight(store, 'record', args),
  /** A sweep asks by task, and finds jobs in any queue: it is for those who may touch all. */
  rescue: (store, [request]) => store.rescue({ ...(request as RescueRequest), tasks: [] }),
  async tend(store, [given], queues) {
    const worker = given as WorkerRecord
    for (const name of worker.queues) if (name !== '*') checkQueue(name, queues)
    const shown = worker.queues.includes('*') ? [...queues] : worker.queues
    const tended = await store.tend({ ...worker, queues: shown })
    return { ...tended, sweepDue: false, paused: tended.paused.filter((name) => queues.has(name)) }
  },
  async get(store, [ids], queues) {
    return (await store.get(ids as string[])).map((job) => visible(job, queues))
  },
  async list(store, [given], queues) {
    const query = given as ListQuery
    if (query.queue !== undefined && !queues.has(query.queue)) return { jobs: [], next: null }
    const page = await store.list(query)
    return { ...page, jobs: page.jobs.filter(({ queue }) => queues.has(queue)) }
  },
  counts: async (store, _, queues) => (await store.counts()).filter(isIn(queues)),
  stats: async (store, _, queues) => (await store.stats()).filter(isIn(queues)),
  async logs(store, [id], queues) {
    const [known] = await visibleIds(store, [id as string], queues)
    return store.logs(known ?? nobodys)
  },
  async recorded(store, [given], queues) {
    const query = given as RecordedQuery
    const [id] = await visibleIds(store, [query.id], queues)
    return store.recorded({ ...query, id: id ?? nobodys })
  },
  cancel: async (store, [ids, reason], queues) =>
    store.cancel(await visibleIds(store, ids as string[], queues), reason as string | null),
  retry: async (store, [ids], queues) =>
    store.retry(await visibleIds(store, ids as string[], queues)),
  remove: async (store, [ids], queues) =>
    store.remove(await visibleIds(store, ids as string[], queues)),
  take: async (store, [ids], queues) =>
    store.take(await visibleIds(store, ids as string[], queues)),
  /** The manager itself, and whoever may touch all, look after retention. */
  prune: () => ({ removed: 0, more: false }),
  pause(store, [names], queues) {
    for (const name of names as string[]) checkQueue(name, queues)
    return store.pause(names as string[])
  },
  resume(store, [names], queues) {
    for (const name of names as string[]) checkQueue(name, queues)
    return store.resume(names as string[])
  },
  queues: async (store, _, queues) => (await store.queues()).filter(({ name }) => queues.has(name)),
  workers: async (store, _, queues) =>
    (await store.workers()).filter((worker) => worker.queues.some((name) => queues.has(name))),
  /** Those of other queues are left as they are: the caller runs none of them. */
  registerTasks: (store, [tasks], queues) =>
    store.registerTasks((tasks as readonly RegisteredTask[]).filter(isIn(queues))),
  tasks: async (store, _, queues) => (await store.tasks()).filter(isIn(queues)),
  /** Records belong to no queue: a worker finds no schedules to fire, and leaves them to others. */
  /** But orders of operators are for all workers; who gave them and why is not. */
  getRecords: (store, [keys]) => orderRecords(store, keys as readonly string[]),
  listRecords: () => [],
  putRecords: () => refuse('writes no records, as those of schedules are'),
  /** Workers restart one after another, those of this caller among them. */
  hold: (store, [request]) =>
    (request as HoldRequest).name.startsWith(restartLocks)
      ? store.hold(request as HoldRequest)
      : refuse('holds no locks'),
  release: () => refuse('holds no locks'),
  lockOwner: () => refuse('sees no locks'),
}

async function orderRecords(
  store: Store,
  keys: readonly string[],
): Promise<readonly (string | null)[]> {
  if (!keys.includes(controlKey)) return keys.map(() => null)
  const [text = null] = await store.getRecords([controlKey])
  const shown = withoutWords(text)
  return keys.map((key) => (key === controlKey ? shown : null))
}

function straight(store: Store, name: CallName, args: readonly unknown[]): unknown {
  return (store[name] as (...given: unknown[]) => unknown)(...args)
}

function isIn(queues: ReadonlySet<string>): (one: { readonly queue: string }) => boolean {
  return ({ queue }) => queues.has(queue)
}

function visible(job: StoredJob | null, queues: ReadonlySet<string>): StoredJob | null {
  return job !== null && queues.has(job.queue) ? job : null
}

/** The same ids, with those of other queues' jobs replaced by that of none. */
async function visibleIds(
  store: Store,
  ids: readonly string[],
  queues: ReadonlySet<string>,
): Promise<readonly string[]> {
  const jobs = await store.get(ids)
  return ids.map((id, index) => (visible(jobs[index] ?? null, queues) === null ? nobodys : id))
}

/** Jobs for these queues, which replace none in others. */
function jobsWithin(jobs: readonly NewJob[], queues: ReadonlySet<string>): readonly NewJob[] {
  return jobs.map((job) => {
    checkQueue(job.queue, queues)
    return job.unique?.onConflict === 'replace'
      ? { ...job, unique: { ...job.unique, onConflict: 'replace-in-queue' } }
      : job
  })
}

function checkQueue(name: string, queues: ReadonlySet<string>): void {
  if (queues.has(name)) return
  throw new Problem('forbidden', `The token is not for the queue ${JSON.stringify(name)}.`, {
    details: { queue: name },
  })
}

function refuse(what: string): never {
  throw forbidden(what)
}

function forbidden(what: string): Problem {
  return new Problem('forbidden', `A token for some queues only ${what}.`)
}

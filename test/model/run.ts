/** One run: a list of commands against a store, with the model beside it. */
import { AssertionError } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import type { JobState } from '../../src/core/job.ts'
import type { InsertAnswer } from '../../src/store/intake.ts'
import type { NewJob } from '../../src/store/job.ts'
import type { Store } from '../../src/store/store.ts'
import { recordKeys, type Command } from './commands.ts'
import { same } from './draft.ts'
import type { Edge } from './edges.ts'
import { perform, type Call, type Exchange } from './exchange.ts'
import { explainView } from './reading.ts'
import { resolve } from './resolve.ts'
import { emptyState, type ModelJob, type ModelState } from './state.ts'
import { step, type Circumstances, type Step } from './step.ts'
import { idOf, told } from './transcript.ts'

/** An empty store with several clients, and its time. */
export interface Place {
  readonly clients: readonly Store[]
  /** The time at which it stands still. */
  readonly now: number
  advance(ms: number): Promise<void>
  dispose(): Promise<void>
}

/** What a run counts. */
export interface Tally {
  commands: number
  readonly edges: Map<Edge, number>
}

interface Turn {
  readonly client: number
  readonly call: Call
}

/** Runs commands one after the other, some of them at once. Rejects with the calls so far when store and model differ. */
export async function run(place: Place, commands: readonly Command[], tally: Tally): Promise<void> {
  const transcript: string[] = []
  const ids: string[] = []
  let { now } = place
  let states: readonly ModelState[] = [emptyState]
  const mint = (): string => {
    const id = idOf(ids.length + 1)
    ids.push(id)
    return id
  }
  for (let from = 0; from < commands.length;) {
    const group = groupFrom(commands, from)
    from += group.length
    const waitMs = group[0]?.waitMs ?? 0
    if (waitMs > 0) {
      await place.advance(waitMs)
      now += waitMs
      transcript.push(`  +${waitMs} ms`)
    }
    const turns: Turn[] = []
    for (const { client, what } of group) {
      const call = resolve(what, client, {
        state: states[0] ?? emptyState,
        now,
        ids: [...ids],
        mint,
      })
      if (call !== null) turns.push({ client, call })
    }
    if (turns.length === 0) continue
    tally.commands += turns.length
    const lines: string[] = []
    try {
      const exchanges = await allOf(
        turns.map(({ client, call }) => perform(clientOf(place, client), call)),
      )
      for (const [index, exchange] of exchanges.entries())
        lines.push(`${turns[index]?.client} ${turns.length > 1 ? '∥ ' : ''}${told(exchange)}`)
      states = await explain(place, { states, exchanges, now, ids, tally })
    } catch (error) {
      const last =
        lines.length > 0 ? lines : turns.map(({ client, call }) => `${client} ${told(call)}`)
      const calls = [...transcript, ...last].join('\n')
      throw new Error(`${told(error)}\nafter\n${calls}`, { cause: error })
    }
    transcript.push(...lines)
  }
}

/** What all calls answer. Waits for each even when one fails, so that none reaches into the next run. */
async function allOf<T>(calls: readonly Promise<T>[]): Promise<readonly T[]> {
  const ended = await Promise.allSettled(calls)
  const failed = ended.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return Promise.all(calls)
}

/** The commands that are issued at once: neighbours of different clients that say so, three at most. */
function groupFrom(commands: readonly Command[], from: number): readonly Command[] {
  const group: Command[] = []
  for (const command of commands.slice(from, from + 3)) {
    const last = group.at(-1)
    const joins =
      last === undefined ||
      (last.together &&
        mayMeet(command) &&
        mayMeet(last) &&
        group.every(({ client }) => client !== command.client))
    if (!joins) break
    group.push(command)
  }
  return group
}

/** What reads much, or lets the store choose what goes, is explained only when it is alone. */
function mayMeet({ what: { kind } }: Command): boolean {
  const alone = [
    'idle',
    'list',
    'prune',
    'tend',
    'queues',
    'workers',
    'logs',
    'recorded',
    'listRecords',
  ]
  return !alone.includes(kind)
}

/**
 * Finds the orders of the calls in which the model gives the answers and the view that the store gave, and answers the states that they
 * lead to. Two orders may look alike for now and be told apart later, by who stands before whom.
 */
async function explain(
  place: Place,
  after: {
    readonly states: readonly ModelState[]
    readonly exchanges: readonly Exchange[]
    readonly now: number
    readonly ids: readonly string[]
    readonly tally: Tally
  },
): Promise<readonly ModelState[]> {
  const { states, exchanges, now, ids, tally } = after
  const [jobs, counts, records] = await Promise.all([
    clientOf(place, 0).get(ids),
    clientOf(place, 1).counts(),
    clientOf(place, 2).getRecords(recordKeys),
  ])
  // Which of several inserts came first shows in a list: that leaves one state of many.
  const listed =
    exchanges.length > 1 ? (await clientOf(place, 0).list({ limit: 1_000 })).jobs : null
  const shownIn = new Map(jobs.map((job, index) => [ids[index] ?? '', job?.state ?? null]))
  const seen = (id: string): JobState | null => shownIn.get(id) ?? null
  const ends: ModelState[] = []
  let first: unknown = null
  for (const state of states) {
    for (const order of ordersOf(exchanges)) {
      try {
        const { state: walked, edges } = walk(state, order, { now, seen })
        const inOrder = listed?.map(({ id }) => id) ?? null
        const end = inOrder === null ? walked : asListed(walked, state, exchanges, inOrder)
        explainView(end, ids, { jobs, counts, records, order: inOrder })
        if (ends.length === 0)
          for (const edge of edges) tally.edges.set(edge, (tally.edges.get(edge) ?? 0) + 1)
        if (!ends.some((other) => isDeepStrictEqual(other, end))) ends.push(end)
      } catch (error) {
        if (!(error instanceof AssertionError)) throw error
        first ??= error
      }
    }
  }
  if (ends.length === 0) throw first
  return ends
}

/**
 * Numbers are drawn one by one, so those of calls that insert at once may mix: the list, newest first, tells how. The jobs of each call
 * keep their order.
 */
function asListed(
  state: ModelState,
  before: ModelState,
  exchanges: readonly Exchange[],
  listed: readonly string[],
): ModelState {
  const fresh = [...state.jobs.values()].filter(({ shown }) => !before.jobs.has(shown.id))
  const orders = fresh.map(({ order }) => order).sort((a, b) => a - b)
  const byNumber = fresh.toSorted(
    (a, b) => listed.indexOf(b.shown.id) - listed.indexOf(a.shown.id) || a.order - b.order,
  )
  const renumbered = byNumber.map((job, index) => ({ ...job, order: orders[index] ?? job.order }))
  const jobs = new Map(state.jobs)
  for (const job of renumbered) jobs.set(job.shown.id, job)
  const inserted = exchanges.map((exchange) => new Set(insertedBy(exchange)))
  for (const ids of inserted) {
    // One that several calls insert is of the first of them, whichever that was.
    const own = new Set([...ids].filter((id) => inserted.filter((one) => one.has(id)).length === 1))
    const ofCall = (ordered: readonly ModelJob[]): readonly string[] =>
      ordered.map(({ shown }) => shown.id).filter((id) => own.has(id))
    same('order of a call', ofCall(renumbered), ofCall(fresh.toSorted((a, b) => a.order - b.order)))
  }
  return { ...state, jobs }
}

function insertedBy(exchange: Exchange): readonly string[] {
  if (exchange.verb === 'insert') return createdIn(exchange.answer)
  if (exchange.verb === 'record')
    return typeof exchange.answer === 'object' ? createdIn(exchange.answer) : []
  if (exchange.verb !== 'settle') return []
  return exchange.settlements.flatMap(({ followUps }) => followUps.map(({ id }) => id))
}

function createdIn(answers: readonly InsertAnswer[]): readonly string[] {
  return answers.filter(({ status }) => status === 'created').map(({ id }) => id)
}

function walk(
  from: ModelState,
  order: readonly Exchange[],
  circumstances: Omit<Circumstances, 'passed'>,
): Step {
  let state = from
  const edges: Edge[] = []
  const due = [...from.jobs.values()]
    .filter(({ shown }) => shown.state === 'scheduled' && shown.dueAt <= circumstances.now)
    .map(({ shown }) => shown.id)
  for (const exchange of order) {
    const passed = passedBy(exchange, order, { from, due })
    const next = step(state, exchange, { ...circumstances, passed })
    state = next.state
    edges.push(...next.edges)
  }
  return { state, edges }
}

/** Every order of the calls. Many are a step for each of their jobs, which others may come between; settlements come in any order. */
function ordersOf(exchanges: readonly Exchange[]): readonly (readonly Exchange[])[] {
  if (exchanges.length <= 1) return [exchanges]
  return mergesOf(
    exchanges.flatMap((one) =>
      one.verb === 'settle' ? settlementsOf(one).map((part) => [part]) : [partsOf(one)],
    ),
  )
}

/** The settlements of each job as a call of their own. */
function settlementsOf(exchange: Exchange & { readonly verb: 'settle' }): readonly Exchange[] {
  const { settlements, answer } = exchange
  return [...new Set(settlements.map(({ id }) => id))].map((id) => ({
    verb: 'settle',
    settlements: settlements.filter((one) => one.id === id),
    answer: answer.filter((_, index) => settlements[index]?.id === id),
  }))
}

function partsOf(exchange: Exchange): readonly Exchange[] {
  if (exchange.verb === 'cancel') return byId(exchange, exchange.answer)
  if (exchange.verb === 'retry') return byId(exchange, exchange.answer)
  if (exchange.verb === 'remove') return byId(exchange, exchange.answer)
  if (exchange.verb === 'take') return byId(exchange, exchange.answer)
  if (exchange.verb === 'putRecords')
    return exchange.writes.map((write, index) => ({
      ...exchange,
      writes: [write],
      answer: exchange.answer.slice(index, index + 1),
    }))
  return exchange.verb === 'insert' ? insertsOf(exchange) : [exchange]
}

/** The jobs of an insert one by one, but those of an advance together. */
function insertsOf(exchange: Exchange & { readonly verb: 'insert' }): readonly Exchange[] {
  const parts: Exchange[] = []
  for (let from = 0; from < exchange.jobs.length;) {
    const { id = '' } = exchange.jobs[from] ?? {}
    const advance = exchange.advance.filter(({ jobs }) => jobs.includes(id))
    const to = from + (advance[0]?.jobs.length ?? 1)
    const [jobs, answer] = [exchange.jobs.slice(from, to), exchange.answer.slice(from, to)]
    parts.push({ ...exchange, jobs, advance, answer })
    from = to
  }
  return parts
}

function byId<E extends { readonly ids: readonly string[] }, A>(
  exchange: E,
  answers: readonly A[],
): readonly (E & { readonly answer: readonly A[] })[] {
  return exchange.ids.map((id, index) => ({
    ...exchange,
    ids: [id],
    answer: answers.slice(index, index + 1),
  }))
}

/** Every way to merge lists that keeps the order within each. */
function mergesOf<T>(lists: readonly (readonly T[])[]): readonly (readonly T[])[] {
  const left = lists.filter((list) => list.length > 0)
  if (left.length === 0) return [[]]
  return left.flatMap((list, index) =>
    mergesOf(left.with(index, list.slice(1))).map((rest) => [...list.slice(0, 1), ...rest]),
  )
}

/**
 * Jobs that the other calls of the group touched, but for those that the call itself was given. Another claim also touches what is due: one
 * of the two makes it ready, and the other may come too early for that.
 */
function passedBy(
  exchange: Exchange,
  group: readonly Exchange[],
  { from, due }: { readonly from: ModelState; readonly due: readonly string[] },
): ReadonlySet<string> | null {
  if (group.length === 1) return null
  const rest = group.filter((other) => other !== exchange)
  const promoted = rest.some(({ verb }) => verb === 'claim') ? due : []
  const others = [...rest.flatMap(idsIn), ...promoted]
  const own = new Set(idsIn(exchange))
  return new Set([...withKin(from, others)].filter((id) => !own.has(id)))
}

/** Who touches a job may hold still those that it needs, or that need it, and so on. */
function withKin(state: ModelState, ids: readonly string[]): ReadonlySet<string> {
  const all = new Set(ids)
  for (let size = -1; size < all.size;) {
    size = all.size
    for (const { shown, needs } of state.jobs.values()) {
      const family = [shown.id, ...needs.map(({ id }) => id)]
      if (needs.length > 0 && family.some((id) => all.has(id))) for (const id of family) all.add(id)
    }
  }
  return all
}

function neededBy({ needs }: NewJob): readonly string[] {
  return needs.map(({ id }) => id)
}

function idsIn(exchange: Exchange): readonly string[] {
  switch (exchange.verb) {
    case 'claim':
    case 'rescue':
      return exchange.answer.jobs.map(({ id }) => id)
    case 'insert':
      return [...exchange.answer.map(({ id }) => id), ...exchange.jobs.flatMap(neededBy)]
    case 'settle':
      return exchange.settlements.flatMap(({ id, followUps }) => [
        id,
        ...followUps.flatMap((job) => [job.id, ...neededBy(job)]),
      ])
    case 'record': {
      const { id, jobs = [] } = exchange.record
      return [id, ...jobs.flatMap((job) => [job.id, ...neededBy(job)])]
    }
    case 'renew':
      return exchange.leases.map(({ id }) => id)
    case 'note':
      return exchange.notes.map(({ id }) => id)
    case 'cancel':
    case 'retry':
    case 'remove':
    case 'take':
      return exchange.ids
    case 'putRecords':
    case 'listRecords':
    case 'tend':
    case 'prune':
    case 'pause':
    case 'resume':
    case 'list':
    case 'logs':
    case 'recorded':
    case 'queues':
    case 'workers':
      return []
  }
}

function clientOf(place: Place, index: number): Store {
  const store = place.clients[index % place.clients.length]
  if (store === undefined) throw new RangeError('a place has one client at least')
  return store
}

/**
 * What happens in a store, for all event streams of a process. There is no log of changes to read, and
 * managers do not know of each other: each looks at the store itself and sends what has changed.
 *
 * While anybody subscribes, a loop looks, then rests until a hint of the store says that something may
 * have happened, and for a second at most, since progress gives no hint. It rests for nineteen times as
 * long as the last look took, so that streams never take more than a twentieth of a store's time. A store that is away
 * is looked at with growing pauses; what has happened meanwhile is sent when it is back.
 */
import { sleep } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import { performance } from '../../core/timers.ts'
import type { QueueInfo } from '../../client/queues.ts'
import { clientOf } from '../../client/own-client.ts'
import { Loop } from '../../loops/supervised.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Managed } from '../managed.ts'
import { batchedGet, lookAtJob, lookAtQueues, nextTurn, type Narrowed } from './looks.ts'
import { View, type Subscriber } from './view.ts'

const pace = { leastMs: 100, mostMs: 1_000, share: 19 } as const
/** How many queues and tasks may be looked at. */
const mostViews = 100
/** How many single jobs may be: they are read together. */
const mostJobs = 10_000

export type QueueListener = (queues: readonly QueueInfo[]) => void

export class Feed {
  readonly #errand: Managed
  readonly #redact: ((job: StoredJob) => StoredJob) | undefined
  readonly #get: (id: string) => Promise<StoredJob | null>
  readonly #jobs = new Map<string, View>()
  readonly #queues = new Map<string, View>()
  readonly #counts = new Set<QueueListener>()
  #loop: Loop | null = null
  #unwatch: () => void = () => undefined

  constructor(errand: Managed) {
    this.#errand = errand
    const { redaction } = errand
    this.#redact = redaction && ((job) => redaction.stored(job))
    this.#get = batchedGet(errand.store)
  }

  /** Subscribes to one job. Throws `overloaded`. */
  watchJob(id: string, subscriber: Subscriber): () => void {
    return this.#watch(this.#jobs, mostJobs, id, () => lookAtJob(this.#get, id), subscriber)
  }

  /** Subscribes to the jobs of a queue or task, or all. Throws `overloaded`. */
  watchQueues(narrowed: Narrowed, subscriber: Subscriber): () => void {
    const look = () => lookAtQueues(this.#errand.store, narrowed)
    return this.#watch(this.#queues, mostViews, JSON.stringify(narrowed), look, subscriber)
  }

  /** Subscribes to the counts of all queues, which are sent after each look. */
  watchCounts(listener: QueueListener): () => void {
    this.#counts.add(listener)
    return this.#served(() => {
      this.#counts.delete(listener)
      this.#rest()
    })
  }

  #watch(
    views: Map<string, View>,
    most: number,
    name: string,
    look: () => ReturnType<typeof lookAtJob>,
    subscriber: Subscriber,
  ): () => void {
    let view = views.get(name)
    if (view === undefined) {
      if (views.size >= most)
        throw new ErrandError('overloaded', 'Streams look at too many things already.')
      views.set(name, (view = new View(look(), this.#redact)))
    }
    const own = view
    const remove = own.add(subscriber)
    const leave = (): void => {
      remove()
      if (!own.isWatched && views.get(name) === own) views.delete(name)
      this.#rest()
    }
    return this.#served(leave)
  }

  get #isWatched(): boolean {
    return this.#jobs.size + this.#queues.size + this.#counts.size > 0
  }

  /** Begins to look, or looks soon; a store that is closed lets nobody in. */
  #served(leave: () => void): () => void {
    try {
      if (this.#loop === null) this.#start()
    } catch (error) {
      leave()
      throw error
    }
    this.#loop?.wake()
    return leave
  }

  #start(): void {
    const { store } = this.#errand
    const { events } = clientOf(this.#errand).app
    const loop = new Loop('events', events, store.clock, () => this.#pass())
    this.#unwatch = store.watch(() => loop.wake(), ['work', 'finished', 'cancel', 'paused'])
    this.#loop = loop
    loop.start()
  }

  /** Nobody subscribes any more. */
  #rest(): void {
    if (this.#isWatched) return
    this.#unwatch()
    void this.#loop?.stop()
    this.#loop = null
  }

  async #pass(): Promise<number> {
    // Whoever subscribes in the same turn shares the look.
    await nextTurn()
    const began = performance.now()
    await this.#look()
    const tookMs = performance.now() - began
    await sleep(this.#errand.store.clock, Math.max(pace.leastMs, pace.share * tookMs))
    return pace.mostMs
  }

  async #look(): Promise<void> {
    await Promise.all([...this.#jobs.values()].map((view) => view.look()))
    for (const view of this.#queues.values()) await view.look()
    if (this.#counts.size === 0) return
    const queues = await this.#errand.queues.list()
    for (const listener of this.#counts) listener(queues)
  }
}

const feeds = new WeakMap<Managed, Feed>()

export function feedOf(errand: Managed): Feed {
  let feed = feeds.get(errand)
  if (feed === undefined) feeds.set(errand, (feed = new Feed(errand)))
  return feed
}

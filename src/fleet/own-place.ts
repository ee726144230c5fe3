/**
 * What joins a worker process to its supervisor: it says that it is up and what it uses, asks to be
 * replaced, stops when told to, and ends when its supervisor is gone.
 */
import { performance, setInterval } from '../core/timers.ts'
import { markProcess, type ProcessPlace } from '../loops/own-process.ts'
import type { EventHub } from '../observe/events.ts'
import type { StopOptions } from '../worker/worker-options.ts'
import { orphanMs, watchParent } from './orphan-watch.ts'
import {
  lifeline,
  placeVariable,
  sealed,
  unsealed,
  type FromProcess,
  type ToProcess,
} from './process-messages.ts'
import type { ShouldRestart } from './should-restart.ts'

const reportMs = 1_000
/** What is aborted may take so long; what is left of `orphanMs` is for giving back. */
const orphanStop: StopOptions = { grace: 0, abortGrace: orphanMs / 2 }

/** When a process asks to be replaced. */
export interface RecycleRules {
  /** After so many runs have ended. */
  readonly recycleAfter: number | null
  /** Above so many bytes of resident memory. */
  readonly maxRss: number | null
  readonly shouldRestart: ShouldRestart | null
}

export class OwnPlace {
  readonly place: ProcessPlace
  readonly #startedAt = performance.now()
  readonly #told: StopOptions[] = []
  #stop: ((options: StopOptions) => void) | null = null
  #jobs = 0
  #isRecycling = false
  #hasThrown = false

  constructor(place: ProcessPlace) {
    this.place = place
    process.on('message', (given) => {
      const message = unsealed<ToProcess>(given)
      if (message !== null) this.#stopWith(message.options)
    })
    process.once('disconnect', () => this.#stopWith(orphanStop))
  }

  /** Watches for the end of the supervisor, also while the event loop is blocked. */
  watch(): Promise<void> {
    return watchParent({ fd: lifeline, hasGroup: false }, () => this.#stopWith(orphanStop))
  }

  /** Has `stop` called each time that this process is told to stop, also for what was said before. */
  onStop(stop: (options: StopOptions) => void): void {
    this.#stop = stop
    for (const options of this.#told.splice(0)) stop(options)
  }

  /** The worker claims jobs: says so, and from now on what this process uses. */
  up(app: Pick<EventHub, 'on'>, events: Pick<EventHub, 'warn'>, rules: RecycleRules): void {
    const { recycleAfter, maxRss, shouldRestart } = rules
    app.on('run-ended', () => {
      this.#jobs++
      if (recycleAfter !== null && this.#jobs >= recycleAfter)
        this.#recycle(`it has run ${this.#jobs} jobs`)
    })
    setInterval(() => {
      const usage = { jobs: this.#jobs, rss: process.memoryUsage.rss() }
      this.#send({ kind: 'report', ...usage })
      if (maxRss !== null && usage.rss > maxRss)
        this.#recycle(`it holds ${Math.round(usage.rss / 2 ** 20)} MB of memory`)
      try {
        const uptime = performance.now() - this.#startedAt
        if (shouldRestart?.({ pid: process.pid, uptime, ...usage }) === true)
          this.#recycle('shouldRestart said so')
        this.#hasThrown = false
      } catch (error) {
        // It is said once, until it works again.
        if (!this.#hasThrown) events.warn('should-restart', { error })
        this.#hasThrown = true
      }
    }, reportMs).unref()
    this.#send({ kind: 'ready' })
  }

  /** It is about to load this file. */
  loads(url: string): void {
    this.#send({ kind: 'modules', urls: [url] })
  }

  #recycle(why: string): void {
    if (this.#isRecycling) return
    this.#isRecycling = true
    this.#send({ kind: 'recycle', why })
  }

  #stopWith(options: StopOptions): void {
    if (this.#stop === null) this.#told.push(options)
    else this.#stop(options)
  }

  #send(message: FromProcess): void {
    // Without a channel the supervisor is gone, and this process ends.
    process.send?.(sealed(message), undefined, {}, () => undefined)
  }
}

/** The place that this process was started for; null where no supervisor has started it. */
export async function takePlace(): Promise<OwnPlace | null> {
  const [index = NaN, of = NaN] = (process.env[placeVariable] ?? '').split('/').map(Number)
  // Programs that this one starts have no place.
  delete process.env[placeVariable]
  if (!(index < of) || process.send === undefined) return null
  markProcess({ index, of })
  const own = new OwnPlace({ index, of })
  await own.watch()
  return own
}

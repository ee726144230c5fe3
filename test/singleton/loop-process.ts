/** A singleton's loop as one process of a fleet has it, with everything that it tells kept in arrays. */
import type { TestContext } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import { EventHub, type Events } from '../../src/observe/events.ts'
import type { Beat } from '../../src/singleton/liveness/liveness.ts'
import { SingletonLoop, type Round, type RunParts } from '../../src/singleton/loop.ts'
import type { Point } from '../../src/singleton/metrics/metrics.ts'
import type { SingletonSettings } from '../../src/singleton/settings.ts'
import type { TickBook } from '../../src/singleton/tick-book.ts'
import { systemClock } from '../../src/stores/system-clock.ts'
import { comesTrue } from './comes-true.ts'
import { toyLocks, type ToyServer } from './toy-locks.ts'

export const ttlMs = 400

export class LoopProcess {
  readonly runs: RunParts[] = []
  readonly ended: Events['singleton-ended'][] = []
  readonly beats: Beat[] = []
  readonly points: Point[] = []
  readonly waiting: Events['singleton-waiting'][] = []
  readonly troubles: Events['part-failed'][] = []
  readonly #stop = new AbortController()
  readonly done: Promise<Round>

  constructor(
    t: TestContext,
    server: ToyServer,
    change: Partial<SingletonSettings>,
    run: (parts: RunParts) => Promise<void> | void = () => {},
    clock: Clock = systemClock,
    book?: TickBook,
  ) {
    const events = new EventHub()
    events.on('singleton-ended', (event) => {
      this.ended.push(event)
    })
    events.on('singleton-waiting', (event) => {
      this.waiting.push(event)
    })
    events.on('part-failed', (event) => {
      this.troubles.push(event)
    })
    const settings: SingletonSettings = {
      name: 'reports',
      pace: { kind: 'pause', ms: 5 },
      locks: toyLocks(server),
      ttlMs,
      keepLock: false,
      releaseOnError: false,
      liveness: [
        {
          info: { kind: 'test', location: 'an array' },
          write: async (beat) => void this.beats.push(beat),
          read: async () => ({ success: null, alive: null }),
          close: async () => {},
        },
      ],
      metrics: [
        {
          info: { kind: 'test', location: 'an array' },
          push: (points) => {
            this.points.push(...points)
          },
          close: async () => {},
        },
      ],
      graceMs: 25_000,
      ...change,
    }
    const loop = new SingletonLoop({
      settings,
      clock,
      events,
      book,
      run: async (parts) => {
        this.runs.push(parts)
        await run(parts)
      },
    })
    this.done = loop.run(this.#stop.signal)
    t.after(() => this.stop())
  }

  /** What ends the loop. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  stop(): Promise<Round> {
    this.#stop.abort(new Error('told to stop'))
    return this.done
  }

  /** Resolves once it holds. */
  until(holds: () => boolean): Promise<void> {
    return comesTrue(holds, () =>
      [this.ended, this.waiting, this.troubles].map((told) => told.slice(-3)),
    )
  }
}

/** Runs until its signal aborts, and throws what that says. */
export function untilAborted({ signal }: RunParts): Promise<void> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error)
    if (signal.aborted) end()
    signal.addEventListener('abort', end)
  })
}

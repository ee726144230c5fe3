/** Runs all the work that there is, in tests. */
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import type { JobState } from '../core/job.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readChoice, readShape } from '../core/read.ts'
import { performance, setTimeout } from '../core/timers.ts'
import type { Errand } from '../errand.ts'
import type { Worker } from '../worker/worker-options.ts'
import { passing } from './test-errand.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface DrainOptions {
  /** Default: all that the app names. */
  readonly queues?: readonly string[]
  /**
   * `idle` (default) ends when nothing is ready or running; `empty` when nothing is scheduled either, such as retries: a virtual
   * clock is moved to each next due time, the system's is waited for.
   */
  readonly until?: 'idle' | 'empty'
  readonly slots?: number
  /** Rejects with `timeout` when the work has not ended after this long, in real time. Default 10 s. */
  readonly timeout?: Duration
}

const lookMs = 2
/** How often what stands still is looked at before that is believed. */
const stillLooks = 25

/**
 * Starts a worker, waits until it has nothing left to do, and stops it. Paused queues are left alone.
 * Rejects with `timeout`, naming what is left, and with what keeps a worker from starting.
 */
export async function drain(errand: Errand, options: DrainOptions = {}): Promise<void> {
  refuseUnknownKeys(options, ['queues', 'until', 'slots', 'timeout'], 'drain()')
  checkErrand(errand, 'drain()')
  const { queues, slots, until = 'idle' } = options
  readChoice(until, ['idle', 'empty'], 'drain().until')
  const endsAt = performance.now() + toMs(options.timeout ?? '10s', 'drain().timeout')
  const worker = errand.worker({
    ...(queues === undefined ? {} : { queues }),
    ...(slots === undefined ? {} : { slots }),
  })
  await worker.start()
  try {
    for (;;) {
      const left = await countLeft(errand, worker)
      const isIdle = left.ready + left.running === 0 || (await standsStill(errand, worker, left))
      if (isIdle && (until === 'idle' || left.scheduled === 0)) return
      if (performance.now() > endsAt) throw unfinished(left)
      if (isIdle) await advanceToNext(errand, worker)
      await new Promise((resolve) => setTimeout(resolve, lookMs))
    }
  } finally {
    const { clock } = errand.store
    const stopping = worker.stop({ grace: 0 })
    await (clock instanceof VirtualClock ? passing(clock, stopping) : stopping)
  }
}

/** Checks what a helper is to work on. Throws `invalid-option`. */
export function checkErrand(errand: Errand, where: string): void {
  const needs = 'what testErrand() or createErrand() gives'
  readShape(errand, ['enqueue', 'worker'], `What ${where} works on`, needs)
}

interface Left {
  readonly ready: number
  readonly running: number
  readonly scheduled: number
}

async function countLeft(errand: Errand, worker: Worker): Promise<Left> {
  const served = (await errand.queues.list()).filter(
    ({ name, paused }) => !paused && serves(worker, name),
  )
  const count = (state: JobState): number =>
    served.reduce((sum, { counts }) => sum + (counts[state] ?? 0), 0)
  return { ready: count('ready'), running: count('running'), scheduled: count('scheduled') }
}

/**
 * Whether what runs only waits for jobs that it has called and that are due later. A job whose call
 * has just ended waits for a moment as well, so it is looked at again.
 */
async function standsStill(errand: Errand, worker: Worker, left: Left): Promise<boolean> {
  for (let looks = 0, now = left; looks < stillLooks; looks++) {
    const { waiting, running, buffered } = worker.status
    if (now.ready + running + buffered > 0 || now.running > waiting || now.scheduled === 0)
      return false
    await new Promise((resolve) => setTimeout(resolve, lookMs))
    now = await countLeft(errand, worker)
    if (now.running !== left.running || now.scheduled !== left.scheduled) return false
  }
  return true
}

function serves({ status }: Worker, queue: string): boolean {
  return status.queues.includes(queue) || status.queues.includes('*')
}

/** Moves a virtual clock to the time at which the next job is due. */
async function advanceToNext(errand: Errand, worker: Worker): Promise<void> {
  const { clock } = errand.store
  if (!(clock instanceof VirtualClock)) return
  let next = Infinity
  for (let after: string | null | undefined; after !== null;) {
    const page = await errand.jobs.list({
      state: 'scheduled',
      limit: 1_000,
      ...(after === undefined ? {} : { after }),
    })
    for (const job of page.jobs)
      if (serves(worker, job.queue)) next = Math.min(next, job.dueAt.getTime())
    after = page.next
  }
  if (next !== Infinity) await clock.advance(Math.max(0, next - clock.now()))
}

function unfinished({ ready, running, scheduled }: Left): ErrandError {
  return new ErrandError(
    'timeout',
    `drain() ended with work left: ${ready} ready, ${running} running, ${scheduled} scheduled.`,
    {
      details: { ready, running, scheduled },
    },
  )
}

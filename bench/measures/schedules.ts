/** What schedules cost: many that are due at once, one tick's way to its handler, and many that rest. */
import { schedule, type Schedule } from 'errand'
import type { OpenApp } from '../kit/app.ts'
import { mail } from '../kit/job.ts'
import { percentile } from '../kit/numbers.ts'
import { slept, ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

/** From the start of a worker with so many schedules to their common tick. */
const leadMs = 20_000
/** The minute whose CPU is counted, from the common tick on. */
const minuteMs = 60_000
const idleMs = 15_000
const looks = 200

/**
 * So many schedules that are due in one second of a minute, fired by one process that does nothing
 * else; and what they cost while nothing is due. Throws when a tick is lost or doubled.
 */
export async function schedulesAtOnce(open: OpenApp, count: number): Promise<Figures> {
  const at = new Date(Math.ceil((Date.now() + leadMs) / 1_000) * 1_000)
  const cron = `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * *`
  const list = Array.from({ length: count }, (_, n): Schedule =>
    schedule({ name: `schedule-${n}`, task: 'mail', input: mail(n), cron, queue: 'elsewhere' }),
  )
  const { errand, watched } = open(() => undefined, { schedules: list, queues: { elsewhere: {} } })
  let fired = 0
  let lastAt = NaN
  errand.on('tick-fired', () => {
    fired += 1
    lastAt = Date.now()
  })
  const worker = errand.worker({ queues: ['default'] })
  const since = ticks()
  await worker.start()
  const startMs = ticks() - since
  if (Date.now() > at.getTime()) throw new Error(`the worker took ${startMs} ms to start`)
  await slept(at.getTime() - Date.now() - 50)
  const cpuBefore = process.cpuUsage()
  await slept(minuteMs)
  const { user, system } = process.cpuUsage(cpuBefore)
  const waiting = (await errand.queues.list()).find(({ name }) => name === 'elsewhere')
  if (fired !== count || waiting?.counts.ready !== count)
    throw new Error(`${count} ticks should have fired, ${fired} did; ${waiting?.counts.ready} wait`)
  const resting = await idled(watched.calls)
  await errand.close()
  return {
    schedules: count,
    start: startMs,
    'fired within': lastAt - at.getTime(),
    cpu: ((user + system) / 1_000 / minuteMs) * 100,
    'idle cpu': resting.cpu,
    'idle calls': resting.calls,
  }
}

async function idled(
  calls: readonly unknown[],
): Promise<{ readonly cpu: number; readonly calls: number }> {
  const [callsBefore, cpuBefore, since] = [calls.length, process.cpuUsage(), ticks()]
  await slept(idleMs)
  const ms = ticks() - since
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    cpu: ((user + system) / 1_000 / ms) * 100,
    calls: ((calls.length - callsBefore) / ms) * 5_000,
  }
}

/** Schedules that fire in turn, and how far apart they are. */
const inTurn = 40
const apartMs = 25
const seconds = 10

/** From a tick's planned time to its handler, beside the way of an ordinary job from its call. */
export async function tickToStart(open: OpenApp): Promise<Figures> {
  const firstAt = Date.now() + 1_000
  const tickMs: number[] = []
  const jobMs: number[] = []
  let calledAt = NaN
  const { errand, task } = open((id) => {
    if (id >= inTurn) jobMs.push(ticks() - calledAt)
    else tickMs.push((wallTime() - firstAt - id * apartMs) % 1_000)
  })
  const worker = errand.worker()
  await worker.start()
  for (let n = 0; n < inTurn; n += 1) {
    const start = new Date(firstAt + n * apartMs)
    await errand.schedules.put(
      schedule({ name: `turn-${n}`, task, input: mail(n), every: '1s', start, missed: 'all' }),
    )
  }
  await slept(seconds * 1_000)
  for (let n = 0; n < inTurn; n += 1) await errand.schedules.pause(`turn-${n}`)
  const counted = tickMs.length
  for (let n = 0; n < looks; n += 1) {
    calledAt = ticks()
    await errand.enqueue(task, mail(inTurn + n))
    await slept(apartMs)
  }
  const fired = (await errand.schedules.list()).reduce((sum, one) => sum + one.fired, 0)
  await errand.close()
  if (fired !== counted || jobMs.length !== looks)
    throw new Error(`${fired} ticks fired, ${counted} ran; ${jobMs.length} of ${looks} jobs ran`)
  // The first second is a warm-up.
  const settledMs = tickMs.slice(inTurn)
  return {
    'tick p50': percentile(settledMs, 0.5),
    'tick p99': percentile(settledMs, 0.99),
    'job p50': percentile(jobMs, 0.5),
  }
}

function wallTime(): number {
  return performance.timeOrigin + performance.now()
}

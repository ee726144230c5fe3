/** What a worker of fifty queues costs while nobody writes. */
import { openApp } from '../kit/app.ts'
import { slept, ticks } from '../kit/ticks.ts'
import { atMost, row } from '../row.ts'
import type { Figures, Setting, Workload } from '../workload.ts'

const queues = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`queue-${i}`, {}]))
const settleMs = 2_000
const spanMs = 15_000

async function idled(setting: Setting): Promise<Figures> {
  const app = openApp(setting, undefined, { queues })
  const worker = app.errand.worker()
  await worker.start()
  await slept(settleMs)
  const callsBefore = app.watched.calls.length
  const cpuBefore = process.cpuUsage()
  const since = ticks()
  await slept(spanMs)
  const ms = ticks() - since
  const { user, system } = process.cpuUsage(cpuBefore)
  const calls = app.watched.calls.length - callsBefore
  await app.errand.close()
  return { calls: (calls / ms) * 5_000, cpu: ((user + system) / 1_000 / ms) * 100 }
}

export const idle: Workload = {
  name: 'idle',
  title: 'An idle worker with 50 queues',
  durabilities: ['process'],
  mostRuns: 3,
  cases: { idle: idled },
  rows: (measured) => [
    row('store calls in 5 s', 'calls', measured('idle', 'calls'), atMost(1)),
    row('CPU', '%', measured('idle', 'cpu'), atMost(1)),
  ],
}

/** Two processes drain one file: together about as fast as one, and neither starves. */
import { checkResults, openApp } from '../kit/app.ts'
import { prepare } from '../kit/fixtures.ts'
import { Ledger } from '../kit/ledger.ts'
import { median, percentile } from '../kit/numbers.ts'
import { Peer } from '../kit/peer.ts'
import { slept } from '../kit/ticks.ts'
import type { Drained } from '../peers/drainer.ts'
import { atLeast, atMost, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

function drainedBy(processes: number): Measure {
  return async (setting) => {
    const jobs = scaled(200_000, setting)
    await prepare(setting, { waiting: jobs })
    const peers = Array.from(
      { length: processes },
      () => new Peer(new URL('../peers/drainer.ts', import.meta.url), { place: setting, jobs }),
    )
    for (const peer of peers) await peer.next()
    for (const peer of peers) peer.send('start')
    await allSettled(peers, jobs)
    for (const peer of peers) peer.send('end')
    const parts = await Promise.all(peers.map((peer) => lastWord(peer)))

    const ledger = new Ledger(jobs)
    for (const { runs } of parts) ledger.merge(runs)
    ledger.check()
    const app = openApp(setting)
    await checkResults(app, jobs)
    await app.errand.close()

    const startedAt = Math.min(...parts.map((part) => part.startedAt))
    const settledAt = Math.max(...parts.map((part) => part.settledAt))
    const callsMs = parts.flatMap((part) => part.callsMs)
    const shares = parts.map(({ runs }) => runs.reduce((sum, count) => sum + count, 0) / jobs)
    return {
      rate: (jobs / (settledAt - startedAt)) * 1_000,
      calls: callsMs.length,
      p999: percentile(callsMs, 0.999),
      worst: Math.max(...callsMs),
      smallerShare: Math.min(...shares),
    }
  }
}

/** Waits until the processes have settled all jobs between them. */
async function allSettled(peers: readonly Peer[], jobs: number): Promise<void> {
  const settled = peers.map(() => 0)
  const listening = peers.map(async (peer, i) => {
    while (settled.reduce((sum, count) => sum + count, 0) < jobs)
      settled[i] = await peer.next<number>()
  })
  await Promise.all(listening)
  await slept(20)
}

async function lastWord(peer: Peer): Promise<Drained> {
  for (;;) {
    const word = await peer.next<number | Drained>()
    if (typeof word === 'number') continue
    await peer.ended()
    return word
  }
}

export const twoProcesses: Workload = {
  name: 'two-processes',
  title: 'Drain, two processes on one file',
  durabilities: ['process', 'power'],
  cases: { one: drainedBy(1), two: drainedBy(2) },
  rows: (measured) => [
    row('one process', 'jobs/s', measured('one', 'rate')),
    row('two processes together', 'jobs/s', measured('two', 'rate')),
    row(
      'two together / one',
      'ratio',
      ratio(measured('two', 'rate'), measured('one', 'rate')),
      atLeast(0.8),
    ),
    row('share of the slower process', 'ratio', measured('two', 'smallerShare')),
    row(
      'store calls, p99.9',
      'ms',
      measured('two', 'p999'),
      atMost(50),
      `of ${median(measured('two', 'calls'))} calls`,
    ),
    row('store calls, slowest', 'ms', measured('two', 'worst')),
  ],
}

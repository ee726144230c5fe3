/** Several processes drain one file: together about as fast as one, and none starves. */
import { checkResults, openApp } from '../kit/app.ts'
import { prepare } from '../kit/fixtures.ts'
import { Ledger } from '../kit/ledger.ts'
import { median, percentile } from '../kit/numbers.ts'
import { Peer } from '../kit/peer.ts'
import { slept, ticks } from '../kit/ticks.ts'
import type { Drained } from '../peers/drainer.ts'
import { atLeast, atMost, ratio, row, type Runs } from '../row.ts'
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
    const sentAt = ticks()
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

    const startedAt = Math.min(...parts.map((part) => part.startedAt).filter((at) => at > 0))
    const settledAt = Math.max(...parts.map((part) => part.settledAt))
    const callsMs = parts.flatMap((part) => part.callsMs)
    const shares = parts.map(({ runs }) => runs.reduce((sum, count) => sum + count, 0) / jobs)
    return {
      rate: (jobs / (settledAt - startedAt)) * 1_000,
      'rate with start': (jobs / (settledAt - sentAt)) * 1_000,
      cpu: parts.reduce((sum, { cpu }) => sum + cpu, 0) / jobs,
      calls: callsMs.length,
      p999: percentile(callsMs, 0.999),
      worst: Math.max(...callsMs),
      'smallest share': Math.min(...shares),
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

const fleets = [1, 2, 4, 8] as const
const caseOf = (processes: number): string => `processes-${processes}`
const leastOfOne: Readonly<Record<number, number>> = { 2: 0.8, 4: 0.7 }

export const fleet: Workload = {
  name: 'fleet',
  title: 'Drain by 1, 2, 4 and 8 processes on one file',
  durabilities: ['process', 'power'],
  cases: Object.fromEntries(fleets.map((count) => [caseOf(count), drainedBy(count)])),
  rows: (measured) =>
    fleets.flatMap((processes) => {
      const figure = (name: string): Runs => measured(caseOf(processes), name)
      const many = `${processes} ${processes === 1 ? 'process' : 'processes'}`
      const least = leastOfOne[processes]
      return [
        row(many, 'jobs/s', figure('rate')),
        row(`${many}, start included`, 'jobs/s', figure('rate with start')),
        ...(processes === 1
          ? []
          : [
              row(
                `${many} / one`,
                'ratio',
                ratio(figure('rate'), measured(caseOf(1), 'rate')),
                least === undefined ? null : atLeast(least),
              ),
              row(`${many}, smallest share`, 'ratio', figure('smallest share')),
            ]),
        row(`${many}, CPU`, 'µs/job', figure('cpu')),
        row(
          `${many}, store calls, p99.9`,
          'ms',
          figure('p999'),
          processes === 2 ? atMost(50) : null,
          `of ${median(figure('calls'))} calls`,
        ),
        row(`${many}, store calls, slowest`, 'ms', figure('worst')),
      ]
    }),
}

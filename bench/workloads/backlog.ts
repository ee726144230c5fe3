/** Whether a long backlog slows the drain: the same number of jobs, out of a few waiting ones and out of a million. */
import { enqueueMails, openApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { prepare } from '../kit/fixtures.ts'
import { atLeast, ratio, row } from '../row.ts'
import { scaled, type Figures, type Setting, type Workload } from '../workload.ts'

const few = 10_000
const rounds = 6

/** Ten thousand waiting, several times over; the first time warms up. */
async function drainFew(setting: Setting): Promise<Figures> {
  const drain = new Drain((ran) => openApp(setting, ran), few * rounds)
  const { errand, watched } = drain.app
  await drain.start()
  let ms = 0
  for (let round = 0; round < rounds; round++) {
    const [from, to] = [round * few, (round + 1) * few]
    await errand.queues.pause('default')
    await enqueueMails(drain.app, from, to)
    await errand.queues.resume('default')
    await watched.reached(to)
    if (round > 0)
      ms += watched.lastSettledAt - Math.min(...drain.ledger.startedAt.subarray(from, to))
  }
  await drain.stop()
  drain.ledger.check()
  await drain.close()
  return { rate: ((few * (rounds - 1)) / ms) * 1_000 }
}

/** As many jobs from the head of a long line. */
async function drainMany(setting: Setting): Promise<Figures> {
  const jobs = scaled(1_000_000, setting)
  await prepare(setting, { waiting: jobs })
  const drain = new Drain((ran) => openApp(setting, ran), jobs)
  await drain.start()
  const from = await drain.settled(few)
  const settledBefore = drain.app.watched.settled
  await drain.settled(few * rounds)
  const settled = drain.app.watched.settled - settledBefore
  const ms = drain.settledAt - from
  await drain.stop()
  if (drain.ledger.runs.some((runs) => runs > 1)) throw new Error('a job ran twice')
  await drain.close()
  return { rate: (settled / ms) * 1_000, waiting: jobs }
}

export const backlog: Workload = {
  name: 'backlog',
  title: 'A long backlog',
  durabilities: ['process', 'power'],
  cases: { few: drainFew, many: drainMany },
  rows: (measured) => {
    const [jobs = NaN] = measured('many', 'waiting')
    const many = `${jobs.toLocaleString('en-US')} jobs waiting`
    return [
      row('drain, 10,000 jobs waiting', 'jobs/s', measured('few', 'rate')),
      row(`drain, ${many}`, 'jobs/s', measured('many', 'rate')),
      row(
        `${many} / 10,000`,
        'ratio',
        ratio(measured('many', 'rate'), measured('few', 'rate')),
        atLeast(0.9),
      ),
    ]
  },
}

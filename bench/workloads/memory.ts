/** Whether a process grows: a million jobs enqueued and run in it, its resident memory looked at after each tenth. */
import { checkResults, enqueueMails, openApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { atMost, row } from '../row.ts'
import { scaled, type Figures, type Setting, type Workload } from '../workload.ts'

const steps = 10
/** The caches of two connections to the file and of the compiler fill in the first three tenths. */
const warmUpSteps = 3
/** Jobs that may wait at a time. */
const ahead = 5_000
const mebibyte = 1_048_576

async function rssOverJobs(setting: Setting): Promise<Figures> {
  const jobs = scaled(1_000_000, setting)
  const drain = new Drain((ran) => openApp(setting, ran), jobs)
  await drain.start()
  const rss: number[] = []
  for (let step = 0; step < steps; step++) {
    const end = Math.round((jobs / steps) * (step + 1))
    for (let done = Math.round((jobs / steps) * step); done < end; done += 1_000) {
      await drain.settled(done - ahead)
      await enqueueMails(drain.app, done, Math.min(end, done + 1_000))
    }
    await drain.settled(end)
    rss.push(await restingRss())
  }
  await drain.stop()
  drain.ledger.check()
  await checkResults(drain.app, jobs)
  await drain.close()
  const warm = rss[warmUpSteps - 1] ?? NaN
  return {
    jobs,
    warm: warm / mebibyte,
    end: (rss.at(-1) ?? NaN) / mebibyte,
    growth: Math.max(...rss.slice(warmUpSteps)) / warm,
  }
}

async function restingRss(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage.rss()
}

export const memory: Workload = {
  name: 'memory',
  title: 'Memory of one process',
  durabilities: ['process'],
  mostRuns: 2,
  nodeOptions: ['--expose-gc'],
  cases: { rss: rssOverJobs },
  rows: (measured) => {
    const [jobs = NaN] = measured('rss', 'jobs')
    const all = jobs.toLocaleString('en-US')
    return [
      row(
        `resident after ${((jobs / steps) * warmUpSteps).toLocaleString('en-US')} jobs`,
        'MiB',
        measured('rss', 'warm'),
      ),
      row(`resident after ${all} jobs`, 'MiB', measured('rss', 'end')),
      row('highest later / after warm-up', 'ratio', measured('rss', 'growth'), atMost(1.1)),
    ]
  },
}

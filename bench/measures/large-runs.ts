/** What runs of many jobs cost: a batch, and a workflow in which one node needs all others. */
import { workflow, type Errand } from 'errand'
import type { BenchApp, OpenApp } from '../kit/app.ts'
import { mail } from '../kit/job.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

const patience = '30m'

/**
 * Starts a batch of so many jobs and runs it, first with a tenth of them, to tell whether the time of one grows with their
 * number. Throws when one did not complete.
 */
export async function largeBatch(open: OpenApp, jobs: number): Promise<Figures> {
  return atTwoSizes(open, jobs, async ({ errand, task }, count) => {
    const entries = Array.from({ length: count }, (_, n) => [task, mail(n)] as const)
    const { id } = await errand.batch(entries)
    return async () => {
      const ended = (await errand.workflows.result(id, { timeout: patience })) as {
        readonly completed: number
      }
      if (ended.completed !== count) throw new Error(`${ended.completed} of ${count} completed`)
    }
  })
}

/** The same for a workflow: so many nodes, whose outputs one node is handed. */
export async function fanIn(open: OpenApp, nodes: number): Promise<Figures> {
  return atTwoSizes(open, nodes, async ({ errand, task }, count) => {
    const flow = workflow({
      name: 'fan-in',
      build(w) {
        const all = Array.from({ length: count - 1 }, (_, n) => w.add(`node ${n}`, task, mail(n)))
        const input = { ...mail(count - 1), all: all.map(({ output }) => output.ok) }
        const last = w.add('last', task, input as never)
        return w.output(last.output.ok)
      },
    })
    const { id } = await errand.start(flow)
    return async () => {
      const last = await errand.workflows.result(id, { timeout: patience })
      if (last !== count - 1) throw new Error(`the last node came to ${JSON.stringify(last)}`)
    }
  })
}

async function atTwoSizes(
  open: OpenApp,
  jobs: number,
  start: (app: BenchApp, jobs: number) => Promise<() => Promise<void>>,
): Promise<Figures> {
  const app = open(() => undefined)
  // A first run warms up.
  await measured(app, Math.ceil(jobs / 100), start)
  const tenth = await measured(app, Math.ceil(jobs / 10), start)
  const whole = await measured(app, jobs, start)
  await app.errand.close()
  return {
    jobs,
    'start at a tenth': tenth.startMs,
    start: whole.startMs,
    'whole at a tenth': tenth.startMs + tenth.runMs,
    whole: whole.startMs + whole.runMs,
    'longest call of the start': whole.longestOfStart,
    'longest call of the worker': whole.longestOfRun,
    'longest settle': whole.longestSettle,
  }
}

interface Measured {
  /** Milliseconds for each 1,000 jobs. */
  readonly startMs: number
  readonly runMs: number
  /** Milliseconds. */
  readonly longestOfStart: number
  readonly longestOfRun: number
  readonly longestSettle: number
}

/** The worker begins once all is stored, so that the two do not share the time. */
async function measured(
  app: BenchApp,
  jobs: number,
  start: (app: BenchApp, jobs: number) => Promise<() => Promise<void>>,
): Promise<Measured> {
  const { errand, watched } = app
  const calls = watched.calls.length
  const began = ticks()
  const ended = await start(app, jobs)
  const startMs = ticks() - began
  const between = watched.calls.length
  const since = ticks()
  await worked(errand, ended)
  const runMs = ticks() - since
  const ofRun = watched.calls.slice(between)
  return {
    startMs: (startMs / jobs) * 1_000,
    runMs: (runMs / jobs) * 1_000,
    longestOfStart: longest(watched.calls.slice(calls, between)),
    longestOfRun: longest(ofRun),
    longestSettle: longest(ofRun.filter(({ verb }) => verb === 'settle')),
  }
}

async function worked(errand: Errand, ended: () => Promise<void>): Promise<void> {
  const worker = errand.worker()
  await worker.start()
  await ended()
  await worker.stop()
}

function longest(calls: readonly { readonly ms: number }[]): number {
  return calls.reduce((most, { ms }) => Math.max(most, ms), 0)
}

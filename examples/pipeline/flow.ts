// The pipeline: extract, transform and load a file of sales, then compute, for which a database and an environment are made
// ready first. Each step writes one line to a ledger, which is how main.ts knows how often it took effect.
import { appendFile } from 'node:fs/promises'
import { createErrand, task, workflow } from 'errand'
import { sqlite } from 'errand/sqlite'

const folder = process.argv[2] ?? '.'

/** The effect of a step. A real one would carry an idempotency key: here it is the job's own id. */
async function effect(line: string): Promise<void> {
  await appendFile(`${folder}/ledger.txt`, `${line}\n`)
}

export const extract = task({
  name: 'extract',
  async run({ source }: { source: string }, job) {
    await effect(`extract ${job.id}`)
    return { source, rows: ['apples 3', 'pears 4', 'apples 5'] }
  },
})

export const transform = task({
  name: 'transform',
  losses: 5,
  async run({ rows }: { rows: readonly string[] }, job) {
    // The first process that comes here is killed, half-way through the pipeline.
    if (process.env['KILLED'] === 'yes') process.kill(process.pid, 'SIGKILL')
    const sums: Record<string, number> = {}
    for (const row of rows) {
      const [fruit = '', count] = row.split(' ')
      sums[fruit] = (sums[fruit] ?? 0) + Number(count)
    }
    await effect(`transform ${job.id}`)
    return { sums }
  },
})

export const load = task({
  name: 'load',
  async run({ sums, from }: { sums: Record<string, number>; from: string }, job) {
    await effect(`load ${job.id}`)
    return { table: `sums of ${from}`, sums }
  },
})

export const prepareDb = task({
  name: 'prepare-db',
  run: (_: undefined, job) => effect(`prepare-db ${job.id}`),
})
export const deployEnvironment = task({
  name: 'deploy-environment',
  run: (_: undefined, job) => effect(`deploy-environment ${job.id}`),
})
/** Both of these run first, at the same time. */
export const configureEnvironment = task({
  name: 'configure-environment',
  before: [deployEnvironment, prepareDb],
  run: (_: undefined, job) => effect(`configure-environment ${job.id}`),
})

export const compute = task({
  name: 'compute',
  before: [configureEnvironment],
  async run({ sums }: { sums: Record<string, number> }, job) {
    await effect(`compute ${job.id}`)
    return { total: Object.values(sums).reduce((a, b) => a + b, 0) }
  },
})

export const etl = workflow({
  name: 'etl',
  build(w, { source }: { source: string }) {
    const extracted = w.add('extract', extract, { source })
    const transformed = w.add('transform', transform, { rows: extracted.output.rows })
    const loaded = w.add('load', load, {
      sums: transformed.output.sums,
      from: extracted.output.source,
    })
    const computed = w.add('compute', compute, { sums: loaded.output.sums })
    return w.output({ table: loaded.output.table, total: computed.output.total })
  },
})

export const errand = createErrand({
  store: sqlite(`${folder}/errand.db`),
  lease: '2s',
  tasks: [extract, transform, load, compute, configureEnvironment, deployEnvironment, prepareDb],
  workflows: [etl],
})

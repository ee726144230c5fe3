/**
 * A small program for bundlers: one job and one run of a singleton, each longer than several leases, on the file of `JOBS`. It prints what became of
 * them, and writes a line to `EVALUATED` each time that it is loaded, in whatever thread.
 */
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton, task } from 'errand'
import { sqlite } from 'errand/sqlite'

const leaseMs = 2_000
const runMs = 6_500

const { JOBS = 'jobs.db', EVALUATED = 'evaluated', CONNECTOR } = process.env
appendFileSync(EVALUATED, 'once\n')

/** For a store whose connector names this program. */
export function connect(file: unknown): ReturnType<typeof sqlite> {
  return sqlite(String(file))
}

async function main(): Promise<void> {
  let runs = 0
  const slow = task({
    name: 'slow',
    run: async () => {
      runs++
      await sleep(runMs)
      return 'done'
    },
  })
  const report = singleton({
    name: 'report',
    once: true,
    ttl: leaseMs,
    liveness: [],
    run: ({ signal }) => sleep(runMs, undefined, { signal }),
  })
  const store = connect(JOBS)
  if (CONNECTOR !== undefined)
    Object.assign(store, { connector: { module: CONNECTOR, argument: JOBS } })
  const errand = createErrand({
    store,
    tasks: [slow],
    singletons: [report],
    lease: leaseMs,
  })
  const worker = errand.worker()
  await worker.start()
  const { renewer } = worker.status
  const reported = errand.singletons.run('report', { signal: new AbortController().signal })
  const job = await errand.enqueue(slow)
  const output = await job.result({ timeout: '60s' })
  const { status } = await reported
  const record = await errand.jobs.get(job.id)
  await errand.close()
  console.log(JSON.stringify({ output, runs, losses: record?.losses, renewer, singleton: status }))
}

void main()

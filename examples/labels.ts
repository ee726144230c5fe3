/** A group, tags and headers help to find jobs; follow-ups inherit group and headers. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const report = task({
  name: 'report',
  run: (_: unknown, job) => console.log(`report of ${job.group} for ${job.headers['tenant']}`),
})

const load = task({
  name: 'load',
  onSuccess: report,
  run: ({ rows }: { rows: number }) => ({ loaded: rows }),
})

const errand = createErrand({ store: memory(), tasks: [load, report] })

const labels = { group: 'import-7', headers: { tenant: 'ada' } }
await errand.enqueueMany([
  [load, { rows: 3 }, { ...labels, tags: ['small'] }],
  [load, { rows: 9_000 }, labels],
])

const count = async (filter: object): Promise<number> =>
  (await errand.jobs.list(filter)).jobs.length
console.log('in the group', await count({ group: 'import-7' }))
console.log('tagged small', await count({ tag: 'small' }))
console.log('9,000 rows', await count({ search: { path: ['rows'], equals: 9_000 } }))

// Everything of the group, reports included, once all of it has run.
await errand.worker().start()
while ((await count({ group: 'import-7', state: 'completed' })) < 4)
  await new Promise((resolve) => setTimeout(resolve, 10))

const { jobs } = await errand.jobs.list({ tag: 'small' })
for (const { output, runs } of jobs)
  console.log(
    output,
    runs.map(({ attempt, outcome }) => `attempt ${attempt} ${outcome}`),
  )

await errand.close()

// Output:
// in the group 2
// tagged small 1
// 9,000 rows 1
// report of import-7 for ada
// report of import-7 for ada
// { loaded: 3 } [ 'attempt 1 completed' ]

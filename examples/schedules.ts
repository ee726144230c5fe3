/** Schedules: work that starts by the clock, each tick exactly one job however many processes there are. Time is moved by hand here. */
import { schedule, task } from 'errand'
import { testErrand } from 'errand/testing'

const report = task({
  name: 'report',
  run({ team }: { team: string }, job) {
    console.log(`${job.schedule}, planned for ${job.plannedAt?.toISOString()}: ${team}`)
  },
})

const errand = testErrand({
  tasks: [report],
  timezone: 'Europe/Prague', // for all schedules that name none; else UTC, never the machine's
  schedules: [
    schedule({
      name: 'nightly',
      task: report,
      input: { team: 'everybody' },
      cron: '0 3 * * MON-FRI',
    }),
    schedule({
      name: 'often',
      task: report,
      input: { team: 'operations' },
      every: '4h',
      limit: 2, // two ticks in all
      overlap: 'skip', // no tick while the job of the one before has not ended
      missed: 'latest', // after an outage one job makes up for what was missed in the last hour
    }),
    // A function in place of a job: called in one process for each tick, and nothing of it is stored.
    schedule({ name: 'hourly', run: () => {}, cron: '@hourly' }),
    // Once in every process.
    schedule({ name: 'hello', on: 'start', run: () => console.log('this process has started') }),
  ],
})
const hours = (count: number): Promise<void> => errand.clock.advance(count * 3_600_000)

// What comes when needs no worker.
for (const time of await errand.schedules.next('nightly', { count: 2 }))
  console.log('nightly:', time.toISOString())

await errand.worker().start()
await hours(10)

// The same code may be stopped by an operator, who says why.
await errand.schedules.pause('nightly', 'until the move is over')
await hours(24)
const { paused, fired } = await errand.schedules.get('nightly')
console.log(`nightly: ticks ${fired}, paused: ${paused?.note}`)

await errand.schedules.resume('nightly')
await errand.schedules.trigger('nightly') // once, now
await hours(1)
await errand.close()

// Output:
// nightly: 2030-01-01T02:00:00.000Z
// nightly: 2030-01-02T02:00:00.000Z
// this process has started
// nightly, planned for 2030-01-01T02:00:00.000Z: everybody
// often, planned for 2030-01-01T04:00:00.000Z: operations
// often, planned for 2030-01-01T08:00:00.000Z: operations
// nightly: ticks 1, paused: until the move is over
// nightly, planned for 2030-01-02T10:00:00.000Z: everybody

/** What must and must not compile about schedules. */
import { createErrand, schedule, task, type Schedule } from '../../index.ts'
import { memory } from '../../stores/memory/index.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const is = <T extends true>(fits: T | void): T | void => fits

const report = task({ name: 'report', run: ({ team }: { team: string }) => team })
const ping = task({ name: 'ping', run: () => 'pong' })
const cron = '0 3 * * *'

const nightly = schedule({ name: 'a', task: report, input: { team: 'a' }, cron, queue: 'reports' })
is<Equal<typeof nightly, Schedule>>()
schedule({ name: 'a', task: ping, every: '15m', overlap: 'queue-one', pauseOnFailure: true })
schedule({ name: 'a', task: 'anything', input: { at: 'all' }, at: [new Date()] })
schedule({ name: 'a', task: 'anything', calendar: { weekdays: new Set([0, 1]), hours: '*' } })
schedule({ name: 'a', task: ping, at: (after) => new Date(after.getTime() + 1), missed: (t) => t })
schedule({
  name: 'a',
  cron,
  run: ({ schedule: name, plannedAt }) => `${name} ${plannedAt.getTime()}`,
})
schedule({ name: 'a', on: 'stop', run: () => {} })
schedule({ name: 'a', after: '60s', run: () => {} })
createErrand({ store: memory(), tasks: [report], schedules: [nightly], timezone: 'UTC' })

// @ts-expect-error -- the input is missing
schedule({ name: 'a', task: report, cron })
// @ts-expect-error -- the team is a text
schedule({ name: 'a', task: report, input: { team: 3 }, cron })
// @ts-expect-error -- ping takes no input
schedule({ name: 'a', task: ping, input: 'input', cron })
// @ts-expect-error -- ticks say when
schedule({ name: 'a', task: ping, cron, runAt: new Date() })
// @ts-expect-error -- there is no such overlap
schedule({ name: 'a', task: ping, cron, overlap: 'never' })
// @ts-expect-error -- a function has no queue
schedule({ name: 'a', run: () => {}, cron, queue: 'reports' })
// @ts-expect-error -- a rule cannot be asked for a promise
schedule({ name: 'a', task: ping, at: async () => new Date() })
// @ts-expect-error -- a schedule comes from schedule()
createErrand({ store: memory(), schedules: [{ name: 'a', cron }] })

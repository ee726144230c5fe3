/** Calendars, lists and rules of one's own, and what cron texts do where clocks are set forward and back. */
import { createErrand, schedule, task } from 'errand'
import { memory } from 'errand/memory'

const tidy = task({ name: 'tidy', run: () => {} })
const timezone = 'Europe/Prague'
const at = { task: tidy, timezone }

const errand = createErrand({
  store: memory(),
  tasks: [tidy],
  schedules: [
    // All sets must match: both halves of the hour, in the morning, on weekdays. 0 is Monday.
    schedule({
      name: 'calendar',
      calendar: { minutes: [0, 30], hours: [8, 9], weekdays: [0, 1, 2, 3, 4] },
      ...at,
    }),
    schedule({ name: 'last-friday', cron: '0 18 * * FRI#L', ...at }),
    schedule({ name: 'list', task: tidy, at: [new Date('2026-05-01'), new Date('2026-09-01')] }),
    // The first tick after a time: here each is twice as far from the start as the one before.
    schedule({
      name: 'rule',
      task: tidy,
      at(after) {
        const start = Date.parse('2026-01-01T00:00:00Z')
        let days = 1
        while (start + days * 86_400_000 <= after.getTime()) days *= 2
        return new Date(start + days * 86_400_000)
      },
    }),
    // Clocks are set from 02:00 to 03:00 on 29 March, and from 03:00 to 02:00 on 25 October.
    schedule({ name: 'time-of-day', cron: '0,30 2 * * *', ...at }),
    schedule({ name: 'time-of-day-or-not', cron: '0,30 2 * * *', dst: 'skip', ...at }),
    schedule({ name: 'elapsed', cron: '*/30 * * * *', ...at }),
  ],
})

async function show(name: string, from: string, count: number): Promise<void> {
  const times = await errand.schedules.next(name, { from: new Date(from), count })
  console.log(`${name}: ${times.map((time) => time.toISOString().slice(5, 16)).join(', ')}`)
}

await show('calendar', '2026-03-06T00:00:00Z', 5)
await show('last-friday', '2026-01-01T00:00:00Z', 3)
await show('list', '2026-01-01T00:00:00Z', 3)
await show('rule', '2026-01-01T00:00:00Z', 5)
console.log('— a gap: 02:00 and 02:30 do not exist, and run once together —')
await show('time-of-day', '2026-03-29T00:00:00Z', 3)
await show('time-of-day-or-not', '2026-03-29T00:00:00Z', 2)
await show('elapsed', '2026-03-29T00:10:00Z', 3)
console.log('— an overlap: 02:00 and 02:30 occur twice, and run at the first —')
await show('time-of-day', '2026-10-24T23:00:00Z', 3)
await show('elapsed', '2026-10-24T23:40:00Z', 5)
await errand.close()

// Output:
// calendar: 03-06T07:00, 03-06T07:30, 03-06T08:00, 03-06T08:30, 03-09T07:00
// last-friday: 01-30T17:00, 02-27T17:00, 03-27T17:00
// list: 05-01T00:00, 09-01T00:00
// rule: 01-02T00:00, 01-03T00:00, 01-05T00:00, 01-09T00:00, 01-17T00:00
// — a gap: 02:00 and 02:30 do not exist, and run once together —
// time-of-day: 03-29T01:00, 03-30T00:00, 03-30T00:30
// time-of-day-or-not: 03-30T00:00, 03-30T00:30
// elapsed: 03-29T00:30, 03-29T01:00, 03-29T01:30
// — an overlap: 02:00 and 02:30 occur twice, and run at the first —
// time-of-day: 10-25T00:00, 10-25T00:30, 10-26T01:00
// elapsed: 10-25T00:00, 10-25T00:30, 10-25T01:00, 10-25T01:30, 10-25T02:00

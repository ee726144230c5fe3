/**
 * Whether each tick gives exactly one job while the processes that fire are killed:
 * `npm run ticks -- [--store sqlite|postgres|redis] [--minutes 2] [--processes 6] [--schedules 200] [--seed 1]`.
 *
 * Exits with 0 when every tick has one job, and each of them has completed; 1 when not.
 */
import { parseArgs } from 'node:util'
import { randomOf } from '../chaos/random.ts'
import { place } from './places.ts'
import { fireUnderKills } from './run.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    minutes: { type: 'string', default: '2' },
    processes: { type: 'string', default: '6' },
    schedules: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
})
const { url, close } = await place(values.store)
try {
  const { wrong, ticks, kills, lateMs } = await fireUnderKills({
    url,
    processes: Number(values.processes),
    schedules: Number(values.schedules),
    durationMs: Number(values.minutes) * 60_000,
    killEveryMs: 3_000,
    random: randomOf(values.seed),
  })
  for (const one of wrong.slice(0, 50)) process.stdout.write(`WRONG: ${one}\n`)
  process.stdout.write(
    `${values.store}, seed ${values.seed}: ${ticks} ticks, ${kills} kills, ${wrong.length} wrong; inserted after their time: p50 ${lateMs.p50} ms, p99 ${lateMs.p99} ms, max ${lateMs.max} ms\n`,
  )
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  await close()
}

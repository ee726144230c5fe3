/**
 * 100 parents that each call ten children on ten slots, workers killed between any two calls:
 * `npm run calls -- [--store sqlite|postgres|redis] [--parents 100] [--kills 2]`, kills for each place.
 *
 * Exits with 0 when every parent completed and every call was made once, 1 when not.
 */
import { parseArgs } from 'node:util'
import { startPostgres } from '../postgres-server.ts'
import { startRedis } from '../redis-server.ts'
import { placesOfCalls, prove } from './proof.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    parents: { type: 'string', default: '100' },
    kills: { type: 'string', default: '2' },
  },
})
const server =
  values.store === 'postgres'
    ? await startPostgres({})
    : values.store === 'redis'
      ? await startRedis()
      : null
try {
  const result = await prove({
    store: server?.url ?? 'sqlite:',
    parents: Number(values.parents),
    children: 10,
    slots: 10,
    // Half of the kills come while parents do not wait.
    losses: 14 * Number(values.kills),
    kills: Number(values.kills),
    calls: placesOfCalls,
  })
  const { kills, parents, calls, runs, ms, wrong } = result
  process.stdout.write(
    `${values.store}: ${kills} workers killed, ${parents} parents, ${calls} calls, ${runs} runs of called jobs by the ledger, ${Math.round(ms / 1_000)} s\n`,
  )
  for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`)
  process.stdout.write(
    wrong.length === 0
      ? 'RIGHT: every parent completed, and each of its calls was made once\n'
      : `${wrong.length} WRONG\n`,
  )
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  await server?.stop()
}

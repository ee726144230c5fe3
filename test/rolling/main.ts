/**
 * Eight processes under load are restarted by SIGTERM, by SIGUSR2 and by SIGKILL:
 * `npm run rolling -- [--store sqlite|postgres|redis] [--processes 8] [--rounds 2] [--load 5]`.
 *
 * Exits with 0 when every job was accepted once, and no restart by the first two cost an attempt.
 */
import { parseArgs } from 'node:util'
import { startPostgres } from '../postgres-server.ts'
import { startRedis } from '../redis-server.ts'
import { prove, type How } from './proof.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    processes: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '2' },
    load: { type: 'string', default: '5' },
  },
})
const server =
  values.store === 'postgres'
    ? await startPostgres({})
    : values.store === 'redis'
      ? await startRedis()
      : null
try {
  const kinds: readonly How[] = ['SIGTERM', 'SIGUSR2', 'SIGKILL']
  const { jobs, runs, started, restarts, ms, wrong } = await prove({
    store: server?.url ?? 'sqlite:',
    processes: Number(values.processes),
    rounds: Array.from({ length: Number(values.rounds) }, () => kinds).flat(),
    load: Number(values.load),
  })
  const counts = Object.entries(restarts).map(([how, count]) => `${count} by ${how}`)
  process.stdout.write(
    `${values.store}: ${started} processes, restarted ${counts.join(', ')}; ${jobs} jobs in ${runs} runs, ${Math.round(ms / 1_000)} s\n`,
  )
  for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`)
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  await server?.stop()
}

/**
 * Whether what a handler writes in the transaction that completes its job is there exactly once, wherever its process is cut off:
 * `npm run exactly-once -- [--store postgres|sqlite] [--kills 100] [--stops 10]`, kills and stops for each place.
 *
 * Exits with 0 when every job has one row in each table, 1 when not.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { postgresGround, sqliteGround } from './ground.ts'
import { leaseMs, longestSilence } from './held.ts'
import { isRight, trials } from './plan.ts'
import { table } from './table.ts'
import type { Result } from './trial.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'postgres' },
    kills: { type: 'string', default: '100' },
    stops: { type: 'string', default: '10' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'errand-exactly-once-'))
const isFile = values.store === 'sqlite'
const ground = isFile ? await sqliteGround(folder) : await postgresGround()
try {
  const results: Result[] = []
  const counts = { kills: Number(values.kills), stops: Number(values.stops) }
  const options = { ground, slots: isFile ? 1 : 4, processes: isFile ? 1 : 4 }
  for await (const result of trials(options, counts)) {
    results.push(result)
    process.stderr.write(`${result.what}\n`)
  }
  process.stdout.write(`${table(results)}\n`)
  for (const { what, wrong } of results)
    for (const one of wrong) process.stdout.write(`WRONG: ${what}: ${one}\n`)
  let isWell = results.every(isRight)
  if (ground.server !== null) {
    const { heldMs, silenceMs, lost } = await longestSilence(ground.url, ground.server)
    process.stdout.write(
      `row held open for ${heldMs} ms: no other lease of ${leaseMs} ms went longer than ${silenceMs} ms without renewal, ${lost} lost\n`,
    )
    isWell &&= lost === 0 && silenceMs < leaseMs
  }
  process.exitCode = isWell ? 0 : 1
} finally {
  await ground.close()
  rmSync(folder, { recursive: true })
}

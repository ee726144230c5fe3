/**
 * `npm run fuzz [-- requests] [seed]`: sends so many requests (10,000 unless said) to a manager on memory and on SQLite, half on each,
 * made of its own OpenAPI document. None may answer 5xx or what the document does not say, store an input that does not fit, or show
 * a caller what it may not see. A failure prints the seed and the request. Of 10,000 requests each operation answers some well.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { fuzz } from './run.ts'

const [requests = 10_000, seed = Math.floor(Math.random() * 2 ** 31)] = process.argv
  .slice(2)
  .map(Number)
const place = mkdtempSync(join(tmpdir(), 'errand-fuzz-'))
try {
  for (const [name, store] of [
    ['memory', memory()],
    ['sqlite', sqlite(join(place, 'errand.db'))],
  ] as const) {
    console.log(`${name}: ${Math.ceil(requests / 2)} requests, seed ${seed}`)
    const report = await fuzz(store, { requests: Math.ceil(requests / 2), seed })
    const statuses = [...report.statuses].toSorted(([a], [b]) => a - b)
    console.log(`  ${statuses.map(([status, count]) => `${status}: ${count}`).join(', ')}`)
    if (requests >= 10_000 && report.never.length > 0) process.exitCode = 1
    const { answered, never } = report
    const [rarest] = [...answered].toSorted(([, a], [, b]) => a - b)
    console.log(
      `  ${answered.size - never.length} of ${answered.size} operations answered well, the rarest ${rarest?.[1]} times (${rarest?.[0]}); never: ${never.join(', ') || 'none'}`,
    )
  }
} finally {
  rmSync(place, { recursive: true, force: true })
}

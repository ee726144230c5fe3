/**
 * The crash run: `npm run crash -- --seed 1`.
 *
 * Producers and workers share one store and are killed and stopped at random while jobs flow in. When the inflow ends, the
 * workers finish what is left, and what every process saw is held against what the store says.
 * Exits with 0 when every rule was kept, 1 when one was broken or too little happened, 2 for wrong use.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isErrandError } from '../../src/core/errors.ts'
import { check } from './check.ts'
import { figuresOf } from './figures.ts'
import { historyOf } from './history.ts'
import { readLedger } from './ledger.ts'
import { readOptions, usage, type Options } from './options.ts'
import { histogram, indictment, shortfalls, table } from './report.ts'
import { perform, type Ran } from './run.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-crash-'))
  let options: Options
  let ran: Ran
  try {
    options = readOptions(args)
    ran = await perform(options, folder)
  } catch (error) {
    rmSync(folder, { recursive: true })
    if (!isErrandError(error, 'invalid-option')) throw error
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
  const history = historyOf(readLedger(folder), ran.jobs)
  const figures = figuresOf(history, ran.drainMs)
  const violations = check(history)
  const missed = shortfalls(figures, options.least)

  console.log(`${table(figures)}\n\nrescued after\n${histogram(figures.rescueMs)}\n`)
  if (violations.length > 0) console.log(`${indictment(violations, history)}\n`)
  for (const what of missed) console.log(`FAILED: ${what}`)
  const isClean = violations.length + missed.length === 0
  if (isClean && !options.keep) rmSync(folder, { recursive: true })
  else console.log(`Ledgers and logs are in ${folder}`)
  console.log(`seed ${options.seed}: ${isClean ? 'clean' : `${violations.length} violations`}`)
  return isClean ? 0 : 1
}

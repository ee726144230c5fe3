/**
 * The chaos run: `npm run chaos -- --store postgres`.
 *
 * Producers and workers share one store. While jobs flow in they are killed, stopped and cut off, and the server is killed and
 * started again, at random. When the inflow ends, the workers finish what is left, and what every process saw is held against
 * what the store says.
 * Exits with 0 when every rule was kept, 1 when one was broken or too little happened, 2 for wrong use.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isErrandError } from '../../src/core/errors.ts'
import { figuresOf } from './figures.ts'
import { historyOf } from './history.ts'
import { shortfalls } from './least.ts'
import { readLedger } from './ledger.ts'
import { judge } from './losses.ts'
import { readOptions, usage, type Options } from './options.ts'
import { histogram, indictment, lateness, lossTable, table } from './report.ts'
import { perform, type Ran } from './run.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-chaos-'))
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
  const figures = figuresOf(history, ran.pace, ran.drainMs)
  const { violations, losses } = judge(history, ran.isLossy)
  const missed = [...shortfalls(figures, ran.least), ...lateness(figures, ran.pace)]
  const { timelyMs, hinderedMs } = figures.times

  console.log(`${table(figures)}\n`)
  console.log(`rescued after, while a worker was fit to\n${histogram(timelyMs)}\n`)
  console.log(`rescued after, while none was\n${histogram(hinderedMs)}\n`)
  if (ran.isLossy) console.log(`${lossTable(losses)}\n`)
  if (violations.length > 0) console.log(`${indictment(violations, history)}\n`)
  for (const what of missed) console.log(`FAILED: ${what}`)
  const isClean = violations.length + missed.length === 0
  if (isClean && !options.keep) rmSync(folder, { recursive: true })
  else console.log(`Ledgers and logs are in ${folder}`)
  console.log(`seed ${options.seed}: ${isClean ? 'clean' : `${violations.length} violations`}`)
  return isClean ? 0 : 1
}

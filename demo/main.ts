/**
 * The demo: `npm run demo -- [folder] [--store <url>] [--fresh]`.
 *
 * Enqueues one job for each text file of a folder, by default those of the installed dependencies, compresses each file and
 * takes its checksum, and shows how it goes. Kill it whenever you like: started again, it does the rest and nothing twice.
 */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Errand } from 'errand'
import { describeError, exitCodeOf } from '../src/cli/exit.ts'
import { progressLine } from '../src/cli/progress-bar.ts'
import { findTextFiles } from './find-files.ts'
import { openDemo, ownPlace, shownPlace } from './place.ts'
import { readResults, report } from './report.ts'
import { compress } from './tasks.ts'

const mostFiles = 20_000
const batch = 500
const lookEveryMs = { tty: 100, log: 2_000 } as const

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { store: { type: 'string' }, fresh: { type: 'boolean', default: false } },
})
const folder = resolve(positionals[0] ?? resolve(import.meta.dirname, '../node_modules'))
const url = values.store ?? process.env['ERRAND_STORE'] ?? null
const place = url === null ? null : ownPlace(url)
try {
  await main(await openDemo(place))
} catch (error) {
  console.error(describeError(error, false))
  process.exit(exitCodeOf(error))
}

async function main(errand: Errand): Promise<void> {
  if (values.fresh) await errand.jobs.remove({ task: compress.name })

  const paths = await findTextFiles(folder, mostFiles)
  console.log(
    `${paths.length.toLocaleString('en')} text files in ${folder}, jobs and results in ${shownPlace(errand)}`,
  )
  if (paths.length === 0) return

  const worker = errand.worker()
  let jobs = 0
  errand.on('run-ended', ({ outcome }) => void (jobs += outcome === 'completed' ? 1 : 0))
  let isStopped = false
  process.once('SIGINT', () => {
    isStopped = true
    process.once('SIGINT', () => process.exit(130))
  })

  const startedAt = performance.now()
  await worker.start()
  const known = await enqueueAll(errand, paths)
  if (known > 0) console.log(`${known.toLocaleString('en')} of them were known from an earlier run`)
  await watch(errand, paths.length, () => isStopped)
  const ms = performance.now() - startedAt
  await worker.stop()

  if (isStopped) console.log('\nStopped. Start it again to do the rest.')
  else console.log(`\n${report(await readResults(errand, paths), { jobs, ms }, folder)}`)
  console.log(`\n${furtherCommands()}`)
  await errand.close()
}

/** Answers how many files had a job already. */
async function enqueueAll(errand: Errand, paths: readonly string[]): Promise<number> {
  let known = 0
  for (let from = 0; from < paths.length; from += batch) {
    const entries = paths.slice(from, from + batch).map((path) => [compress, { path }] as const)
    const enqueued = await errand.enqueueMany(entries)
    known += enqueued.filter(({ inserted }) => inserted === 'duplicate').length
  }
  return known
}

/** Shows how far the files are until none is left: a bar on a terminal, else a line every two seconds. */
async function watch({ jobs }: Errand, total: number, isStopped: () => boolean): Promise<void> {
  const { isTTY } = process.stdout
  const startedAt = performance.now()
  let doneBefore: number | null = null
  for (let shownAt = 0; ;) {
    const left = (await jobs.counts())
      .filter(({ state }) => state === 'scheduled' || state === 'ready' || state === 'running')
      .reduce((sum, { count }) => sum + count, 0)
    const done = Math.max(0, total - left)
    doneBefore ??= done
    const elapsedMs = performance.now() - startedAt
    const isOver = left === 0 || isStopped()
    if (isOver || elapsedMs - shownAt >= lookEveryMs[isTTY ? 'tty' : 'log']) {
      shownAt = elapsedMs
      const line = progressLine('compress', done, total, elapsedMs, doneBefore)
      process.stdout.write(
        isTTY ? `\r\u001B[2K${line.slice(0, process.stdout.columns - 1)}` : `${line}\n`,
      )
    }
    if (isOver) break
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs.tty))
  }
  if (isTTY) process.stdout.write('\n')
}

function furtherCommands(): string {
  // What the terminal keeps should not hold a password.
  const store = place?.replace(/\/\/([^:@/]*):[^@]*@/, '//$1:…@')
  const from = `--config demo/errand.config.ts${store === undefined ? '' : ` --store '${store}'`}`
  const fresh = `npm run demo -- --fresh${values.store === undefined ? '' : ' --store …'}`
  return [
    'Look further:',
    `  npm run -s errand -- jobs list ${from}`,
    `  npm run -s errand -- jobs list ${from} --state completed --json`,
    `  npm run -s errand -- queues list ${from}`,
    `  npm run -s errand -- doctor ${from}`,
    `  ${fresh.padEnd(fresh.length + 2)}does everything again`,
  ].join('\n')
}

/**
 * The demo: `npm run demo [folder] [-- --store sqlite:<file>] [--fresh]`.
 *
 * Enqueues one job for each text file of a folder, by default those of the installed dependencies, compresses each file and
 * takes its checksum, and shows how it goes. Kill it whenever you like: started again, it does the rest and nothing twice.
 */
import { mkdir, rm } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Errand } from 'errand'
import { openStore } from '../src/cli/open-store.ts'
import { progressLine } from '../src/cli/progress-bar.ts'
import configured from './errand.config.ts'
import { findTextFiles } from './find-files.ts'
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
const errand =
  values.store === undefined ? configured : configured.withStore(await openStore(values.store))
await main()

async function main(): Promise<void> {
  const { location } = errand.store.info
  await mkdir(dirname(location), { recursive: true })
  if (values.fresh)
    await Promise.all(['', '-wal', '-shm'].map((end) => rm(location + end, { force: true })))

  const paths = await findTextFiles(folder, mostFiles)
  console.log(
    `${paths.length.toLocaleString('en')} text files in ${folder}, jobs and results in ${shown(location)}`,
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
  const from = `--config demo/errand.config.ts${values.store === undefined ? '' : ` --store ${values.store}`}`
  const fresh = `npm run demo -- --fresh`
  return [
    'Look further:',
    `  npm run -s errand -- jobs list ${from}`,
    `  npm run -s errand -- jobs list ${from} --state completed --json`,
    `  npm run -s errand -- queues list ${from}`,
    `  npm run -s errand -- doctor ${from}`,
    `  ${fresh.padEnd(fresh.length + 2)}does everything again`,
  ].join('\n')
}

function shown(path: string): string {
  const near = relative('', path)
  return near.startsWith('..') ? path : near
}

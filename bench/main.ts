/**
 * `npm run bench [-- --only <workload>] [--quick] [--runs <n>]`: measures Errand on SQLite beside the engine alone and prints a
 * Markdown table. A full run writes it to `bench/results/sqlite.md`; `--only` and `--quick` write nothing.
 *
 * `npm run bench -- --peers [--only <group>] [--quick] [--runs <n>]`: measures Errand on PostgreSQL and on Redis beside
 * graphile-worker, pg-boss and BullMQ, which `npm ci --prefix bench/packages` installs.
 *
 * `--store sqlite|postgres|redis` chooses the stores of either.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compareWithPeers, storeNames } from './against/main.ts'
import { shown } from './kit/numbers.ts'
import { describeMachine } from './kit/machine.ts'
import { run, type Outcome, type RunOptions } from './run.ts'
import { section, summary } from './table.ts'
import type { Workload } from './workload.ts'
import { workloads } from './workloads/index.ts'

const usage = `npm run bench -- [options]
  --store NAME   ${['sqlite', ...storeNames].join(', ')}; may be repeated. Without it: sqlite, or the others with --peers
  --peers        beside graphile-worker, pg-boss and BullMQ (npm ci --prefix bench/packages)
  --only NAME    a workload or group; may be repeated. An unknown one prints their names
  --runs N       how often each side runs, 5 by default
  --quick        one run at a tenth of the size, written nowhere`
const values = readOptions()
const runs = Number(values.runs ?? (values.quick ? 1 : 5))
const stores: readonly string[] = values.store ?? (values.peers ? storeNames : ['sqlite'])
const servers = storeNames.filter((name) => stores.includes(name))
const known = ['sqlite', ...storeNames]
if (stores.some((name) => !known.includes(name))) {
  console.error(`--store takes ${known.join(', ')}`)
  process.exit(2)
}
if (servers.length > 0) {
  const only = values.only ?? null
  const isWhole = await compareWithPeers({ stores: servers, only, isQuick: values.quick, runs })
  if (!isWhole || !stores.includes('sqlite')) process.exit(isWhole ? 0 : 1)
}

const names = workloads.map(({ name }) => name)
const chosen =
  values.only === undefined
    ? workloads
    : workloads.filter(({ name }) => values.only?.includes(name))
if (chosen.length === 0 || (values.only ?? []).some((name) => !names.includes(name))) {
  console.error(`--only takes ${names.join(', ')}`)
  process.exit(2)
}

const fixtures = mkdtempSync(join(tmpdir(), 'errand-bench-'))
const options: RunOptions = {
  runs,
  scale: values.quick ? 0.1 : 1,
  fixtures,
  onCase: (name, figures) => {
    const shownFigures = Object.entries(figures).map(
      ([figure, value]) => `${figure} ${shown(value)}`,
    )
    console.error(`${name}: ${shownFigures.join(', ')}`)
  },
}

const since = new Date()
try {
  const machine = describeMachine(fixtures)
  const outcomes: Outcome[][] = []
  for (const workload of chosen) outcomes.push(await measured(workload))
  const minutes = (Date.now() - since.getTime()) / 60_000
  const text = [
    '# Errand on SQLite: figures',
    [
      `Measured on ${since.toISOString().slice(0, 10)} in ${shown(minutes)} minutes${values.quick ? ', at a tenth of the full size' : ''}.`,
      ...machine,
    ]
      .map((line) => `- ${line}`)
      .join('\n'),
    summary(outcomes.flat()),
    ...outcomes.map(section),
  ].join('\n\n')
  console.log(text)
  if (values.only === undefined && !values.quick) write(text)
  process.exitCode = outcomes.flat().some(({ problem }) => problem !== null) ? 1 : 0
} finally {
  rmSync(fixtures, { recursive: true, force: true })
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        peers: { type: 'boolean', default: false },
        store: { type: 'string', multiple: true },
        only: { type: 'string', multiple: true },
        quick: { type: 'boolean', default: false },
        runs: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (!values.help) return values
    console.log(usage)
    process.exit(0)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}

async function measured(workload: Workload): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const durability of workload.durabilities)
    outcomes.push(await run(workload, durability, options))
  return outcomes
}

function write(text: string): void {
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('sqlite.md', folder), `${text}\n`)
}

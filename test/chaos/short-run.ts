/** Short runs for the tests of each store: long enough to see that a run does what it is for. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { endsWithThis } from '../ends.ts'
import { leastNames, type Least } from './least.ts'
import { leastFlag } from './options.ts'
import { isFull } from '../full.ts'

const main = join(import.meta.dirname, 'main.ts')

/** How long jobs flow in. */
const runSeconds = isFull ? 60 : 8
const sabotageSeconds = 8
/** Each process costs a second of a processor. */
const workers = isFull ? '6' : '4'

export interface Ended {
  readonly code: number
  readonly output: string
}

/**
 * Makes the tests of one store: a run that must be clean, and one that must find out a store that believes stale workers, which says
 * more of the run than of the store, so that SQLite's is enough for every day.
 */
export function testShortRuns(
  store: readonly string[],
  least: Partial<Least>,
  seconds: number = runSeconds,
): void {
  const asked = ['--store', ...store, '--workers', workers]

  test(`a short run on ${store[0]} loses nothing and does nothing twice`, async () => {
    const { code, output } = await run(...asked, ...minutes(seconds), ...flagsOf(least))
    assert.equal(code, 0, output)
    assert.match(output, /seed 1: clean/)
  })

  if (!isFull && store[0] !== 'sqlite') return
  test(`on ${store[0]} a store that believes workers whose leases are gone is found out`, async () => {
    // A short run on a busy machine may see no worker come back too late: then the next seed is tried.
    const seen: string[] = []
    for (const seed of ['1', '2', '3', '4', '5']) {
      const sabotage = ['--seed', seed, '--sabotage', 'fencing', ...flagsOf({})]
      const { code, output } = await run(...asked, ...minutes(sabotageSeconds), ...sabotage)
      if (/VIOLATION \(\d+\): a job ends once, as the store says/.test(output)) {
        assert.equal(code, 1, output)
        return
      }
      seen.push(output)
    }
    assert.fail(`no run found a job that ended twice:\n${seen.join('\n')}`)
  })
}

/** Performs a run in a process of its own. */
export async function run(...args: readonly string[]): Promise<Ended> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-chaos-test-'))
  // PostgreSQL runs as a user of its own, who must get to its folder.
  await chmod(folder, 0o755)
  const child = spawn(process.execPath, ['--conditions=errand-source', main, ...args], {
    env: { ...process.env, TMPDIR: folder },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  // It ends its own processes, when it is asked to.
  endsWithThis(child, 'SIGTERM')
  const code = await new Promise<number>((resolve) =>
    child.once('close', (ended) => resolve(ended ?? -1)),
  )
  await rm(folder, { recursive: true })
  return { code, output }
}

function minutes(seconds: number): readonly string[] {
  return ['--minutes', String(seconds / 60)]
}

/** What is not named need not happen in a run that short. */
function flagsOf(least: Partial<Least>): readonly string[] {
  return leastNames.flatMap((name) => [`--${leastFlag(name)}`, String(least[name] ?? 0)])
}

/** Locks, liveness and metrics of one's own, chosen by the path of a module on the command line. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'

const folder = await mkdtemp(join(tmpdir(), 'errand-own-'))
after(() => rm(folder, { recursive: true }))
const source = (path: string): string => JSON.stringify(import.meta.resolve(path))
await writeFile(
  join(folder, 'work.ts'),
  `import { singleton } from ${source('../../src/index.ts')}
export const work = singleton({ name: 'work', run: ({ token, metric }) => { console.log(token); metric('made', 3, { of: 'it' }) } })`,
)
await writeFile(
  join(folder, 'lock.ts'),
  `import { toyLocks, ToyServer } from ${source('./toy-locks.ts')}
const server = new ToyServer()
server.tokens = 41
export default () => toyLocks(server)`,
)
await writeFile(
  join(folder, 'liveness.ts'),
  `import { writeFileSync } from 'node:fs'
export default {
  info: { kind: 'own', location: 'beats' },
  write: async (beat) => writeFileSync('beats', JSON.stringify(beat)),
  read: async () => ({ success: { at: Date.now(), host: 'here' }, alive: null }),
  close: async () => {},
}`,
)
await writeFile(
  join(folder, 'metrics.ts'),
  `import { writeFileSync } from 'node:fs'
const lines = []
export default () => ({
  info: { kind: 'own', location: 'points' },
  push: (points) => lines.push(...points.map(({ measurement, value, tags }) => [measurement, tags.task, value])),
  close: async () => writeFileSync('points', JSON.stringify(lines)),
})`,
)

async function errand(...args: readonly string[]): Promise<string> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=errand-source', main, ...args],
    { cwd: folder, env: { ...process.env, ERRAND_LOG_LEVEL: 'silent' } },
  )
  return stdout
}

test('a lock, liveness and metrics of modules are used as built-in ones are', async () => {
  const own = ['--lock', './lock.ts', '--liveness', './liveness.ts', '--metrics', './metrics.ts']
  assert.equal(await errand('run', './work.ts', '--once', ...own), '42\n')
  const beat = JSON.parse(await readFile(join(folder, 'beats'), 'utf8')) as object
  assert.deepEqual(
    { ...beat, at: 0, host: '' },
    { singleton: 'work', kind: 'success', at: 0, host: '' },
  )
  const points = JSON.parse(await readFile(join(folder, 'points'), 'utf8')) as unknown[][]
  assert.deepEqual(
    points.map(([measurement, task]) => [measurement, task]),
    [
      ['made', 'work'],
      ['job_duration_seconds', 'work'],
      ['last_successful_run_timestamp', 'work'],
    ],
  )
  const checked = await errand(
    'check',
    './work.ts',
    '--max-age',
    '5m',
    '--liveness',
    './liveness.ts',
  )
  assert.match(checked, /^PASS work/)
})

test('a module that is no lock is refused by what it lacks', async () => {
  await writeFile(join(folder, 'none.ts'), 'export default { hold: 1 }')
  await assert.rejects(
    errand('run', './work.ts', '--once', '--lock', './none.ts'),
    /its default export has no release, lockOwner, watch/,
  )
})

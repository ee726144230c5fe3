/**
 * `npm run test:only [-- <text>…]`: runs all test files, or those whose path contains one of the
 * texts; `npm run test:unit` runs those beside the sources that start no servers. The files that
 * take longest start first, so that no lane waits for one of them at the end. Compiled sources are
 * kept below `node_modules`: the tests start hundreds of processes. A file that hangs is ended, and fails by its name.
 */
import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { isFull } from './full.ts'

/** Many files mostly wait, so there are more lanes than the two cores of a small machine. */
const lanes = 4

/** Files that take twenty seconds or more on a slow machine, the longest first. */
const longest: readonly string[] = [
  'src/stores/postgres/postgres.test.ts',
  'test/dashboard/actions.test.ts',
  'test/dashboard/live.test.ts',
  'test/dashboard/dialogs.test.ts',
  'test/cli/servers.test.ts',
  'test/cli/jobs.test.ts',
  'test/cli/singleton-exit.test.ts',
  'test/exactly-once/exactly-once.test.ts',
  'test/cli/worker.test.ts',
  'test/cli/usage.test.ts',
  'test/chaos/postgres.test.ts',
  'src/singleton/locks/consul.test.ts',
  'test/chaos/redis.test.ts',
  'src/stores/http/http.test.ts',
  'test/chaos/sqlite.test.ts',
  'src/stores/redis/cluster.test.ts',
  'test/worker/processes.test.ts',
  'src/stores/postgres/connections.test.ts',
  'src/stores/postgres/pgbouncer.test.ts',
  'test/singleton/outage.test.ts',
  'test/bundles/bundles.test.ts',
  'test/fail-over.test.ts',
  'test/chaos/redis-cluster.test.ts',
  'src/stores/sqlite/sqlite.test.ts',
  'test/cli/demo.test.ts',
  'src/stores/redis/faults.test.ts',
  'test/worker/outages.test.ts',
  'test/singleton/clocks-and-pauses.test.ts',
  'test/fleet/supervisor.test.ts',
  'test/dashboard/dashboard.test.ts',
  'test/dashboard/people.test.ts',
  'test/singleton/stand-by.test.ts',
  'test/documents.test.ts',
  'test/model/model.test.ts',
]

/** A file that takes longer hangs. */
const mostMinutes = isFull ? 60 : 6
const endMs = 10_000

const mostShown = 12

const root = join(import.meta.dirname, '..')
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules/.cache/errand-tests')

const serverless = '--without-servers'
const wanted = process.argv.slice(2).filter((argument) => argument !== serverless)
const isServerless = process.argv.includes(serverless)
/** What files import that start servers of their own, or look for those of the machine. */
const starters = /from '[./]*\/test\/[a-z-]*(?:server|servers|pair)\.ts'/
const all = globSync('{src,test}/**/*.test.ts', { cwd: root }).toSorted()
const missing = longest.filter((file) => !all.includes(file))
if (missing.length > 0) throw new Error(`test/main.ts names ${missing.join(', ')}, which is gone`)
const chosen = [...longest, ...all.filter((file) => !longest.includes(file))].filter(
  (file) =>
    (wanted.length === 0 || wanted.some((text) => file.includes(text))) &&
    !(isServerless && starters.test(readFileSync(join(root, file), 'utf8'))),
)
if (chosen.length === 0) {
  console.error(`No test file has ${wanted.join(' or ')} in its path.`)
  process.exit(2)
}

const hung: string[] = []
// Each process of this one runs a file, which its last argument names.
subscribe('child_process', (message) => {
  const { process: child } = message as { readonly process: ChildProcess }
  const late = setTimeout(() => {
    const file = relative(root, child.spawnargs.at(-1) ?? '')
    hung.push(`${file} was ended after ${mostMinutes} minutes.`)
    // Its own processes end with it; what is left of them keeps no lane.
    child.kill()
    setTimeout(() => {
      child.kill('SIGKILL')
      for (const stream of [child.stdout, child.stderr]) stream?.destroy()
    }, endMs).unref()
  }, mostMinutes * 60_000)
  child.once('exit', () => clearTimeout(late))
})

const tookMs = new Map<string, number>()
const tests = run({ files: chosen.map((file) => join(root, file)), concurrency: lanes })
tests.on('test:summary', ({ file, success, duration_ms: ms }) => {
  if (file !== undefined) tookMs.set(file, ms)
  else if (!success) process.exitCode = 1
})
for await (const text of tests.compose(new spec())) process.stdout.write(String(text))

const slowest = [...tookMs].toSorted(([, a], [, b]) => b - a).slice(0, mostShown)
console.log('\nThe longest files')
for (const [file, ms] of slowest)
  console.log(`${(ms / 1_000).toFixed(1).padStart(7)} s  ${relative(root, file)}`)
for (const line of hung) console.error(line)

/**
 * Programs that were bundled, given as text, or made into one executable. Wherever a thread has no file to start from, leases and locks are looked after on the event
 * loop, and that is said; and never does a thread run the program once more.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import * as esbuild from 'esbuild'
import * as vite from 'vite'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'errand-bundles-'))
const app = join(folder, 'app.ts')
after(() => rmSync(folder, { recursive: true }))

/** A project with the program, and the package as users get it. */
before(async () => {
  const installed = join(folder, 'node_modules/errand')
  mkdirSync(installed, { recursive: true })
  cpSync(join(import.meta.dirname, 'app.ts'), app)
  const manifest = join(root, 'package.json')
  cpSync(manifest, join(installed, 'package.json'))
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  for (const name of [...Object.keys(dependencies), 'pg']) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link)
  }
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const build = [tsc, '-p', 'tsconfig.build.json', '--outDir', join(installed, 'dist')]
  await promisify(execFile)(process.execPath, build, { cwd: root })
})

/** What the program prints when its job and its singleton ran as they should. */
interface Printed {
  readonly output: string
  readonly runs: number
  readonly losses: number
  readonly renewer: 'thread' | 'event-loop'
  readonly singleton: string
}

const inBundle = {
  renewer: 'event-loop',
  says: /inside a bundle.*docs\/with-your-tools\.md/,
} as const
const inThread = { renewer: 'thread', says: /^$/ } as const

describe('a job and a singleton that last several leases run once', { concurrency: true }, () => {
  proved('in an ES module of esbuild', inBundle, async (name) => [await bundle(name, 'esm')])

  proved('in a CommonJS module of esbuild', inBundle, async (name) => [await bundle(name, 'cjs')])

  proved('in a bundle of esbuild with the thread as a second entry', inBundle, async (name) => {
    const thread = join(folder, 'node_modules/errand/dist/worker/renewer-thread.js')
    return [await bundle(name, 'esm', { entryPoints: { app, 'renewer-thread': thread } })]
  })

  proved('in a bundle of esbuild that leaves errand out', inThread, async (name) => {
    return [await bundle(name, 'esm', { packages: 'external' })]
  })

  proved('in a bundle of Vite', inBundle, async (name) => [await ssr(name, { noExternal: true })])

  proved('in a bundle of Vite with its defaults', inThread, async (name) => [await ssr(name, {})])

  proved('in a bundle of Vite that takes in the store alone', inBundle, async (name) => {
    return [await ssr(name, { noExternal: true }, ['errand'])]
  })

  proved('in a program given as text', inThread, async () => {
    return ['--input-type=module', '--eval', `await import(${JSON.stringify(app)})`]
  })

  const refused = { renewer: 'event-loop', says: /--allow-worker/ } as const
  proved('under permissions without threads', refused, async (name) => {
    const may = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*']
    return [...may, await bundle(name, 'esm', { packages: 'external' })]
  })

  test('in a single executable', async () => {
    const main = await bundle('executable', 'cjs')
    const output = `${main}-executable`
    const config = `${main}.json`
    writeFileSync(config, JSON.stringify({ main, output, disableExperimentalSEAWarning: true }))
    await promisify(execFile)(process.execPath, ['--build-sea', config])
    await run('executable', output, [], inBundle)
  })
})

test('a store whose connector leads to the program begins nothing in its thread', async () => {
  const opener = join(folder, 'opener.ts')
  // It waits, so that the thread ends by what the program does in it.
  const waits = 'await new Promise(() => setInterval(() => undefined, 1_000))'
  writeFileSync(opener, `export { connect } from ${JSON.stringify(app)}\n${waits}`)
  const says = /is in the file of the program itself/
  const itself = { renewer: 'event-loop', says, connector: pathToFileURL(app).href } as const
  const again = {
    renewer: 'event-loop',
    says: /the module of its connector runs the program/,
    connector: pathToFileURL(opener).href,
    loads: /^(?:once\n){2,}$/,
  } as const
  await Promise.all([
    run('itself', process.execPath, [app], itself),
    run('requeue', process.execPath, [app], again),
  ])
})

test('a database client that does not load from its bundle is to be left out of it', async () => {
  const contents = `
    import { postgres } from 'errand/postgres'
    postgres('postgres://localhost/x').setup().catch(({ code, message }) => console.log(code, message))`
  const stdin = { contents, resolveDir: folder }
  const { outputFiles } = await esbuild.build({
    ...given('esm'),
    stdin,
    external: [],
    write: false,
  })
  const file = join(folder, 'with-pg.mjs')
  writeFileSync(file, outputFiles[0]?.text ?? '')
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 60_000 })
  assert.match(stdout, /^missing-peer errand\/postgres .*Dynamic require.*mark pg as external/)
})

test('isolated tasks of a bundle run from entries of their own, if errand is left out', async () => {
  writeFileSync(join(folder, 'handler.ts'), 'export const run = () => process.pid')
  const contents = `
    import { createErrand, task } from 'errand'
    import { memory } from 'errand/memory'
    const module = new URL('./handler.mjs', import.meta.url)
    const tasks = ['thread', 'process'].map((kind) =>
      task({ name: kind, run: { module, export: 'run' }, isolate: kind }))
    const errand = createErrand({ store: memory(), tasks })
    await errand.worker().start().catch(({ code, message }) => { console.log(code, message); process.exit() })
    for (const { name } of tasks) {
      const job = await errand.enqueue(name)
      console.log(name, (await job.result({ timeout: '30s' })) === process.pid)
    }
    await errand.close()`
  const printed = async (name: string, more: esbuild.BuildOptions): Promise<string> => {
    const { outputFiles } = await esbuild.build({
      ...given('esm'),
      ...more,
      stdin: { contents, resolveDir: folder },
      write: false,
    })
    const file = join(folder, `${name}.mjs`)
    writeFileSync(file, outputFiles[0]?.text ?? '')
    return (await promisify(execFile)(process.execPath, [file], { timeout: 60_000 })).stdout
  }
  await esbuild.build({
    ...given('esm'),
    entryPoints: [join(folder, 'handler.ts')],
    outfile: join(folder, 'handler.mjs'),
  })
  const left = await printed('isolated-left', { packages: 'external' })
  assert.equal(left, 'thread true\nprocess false\n')
  assert.match(await printed('isolated-in', {}), /^no-thread thread cannot be isolated: .*bundle/)
})

interface Expected {
  readonly renewer: Printed['renewer']
  readonly says: RegExp
  /** The module that the store's connector names, in place of its own. */
  readonly connector?: string
  /** What the program wrote each time that it was loaded. */
  readonly loads?: RegExp
}

function proved(
  name: string,
  expected: Expected,
  argsOf: (name: string) => Promise<readonly string[]>,
): void {
  test(name, async () => run(name, process.execPath, await argsOf(name), expected))
}

async function run(
  name: string,
  command: string,
  args: readonly string[],
  { renewer, says, connector, loads = /^once\n$/ }: Expected,
): Promise<void> {
  const own = placeOf(name)
  const { NODE_OPTIONS: _, ...inherited } = process.env
  const env = { ...inherited, JOBS: `${own}.db`, EVALUATED: `${own}.evaluated` }
  if (connector !== undefined) Object.assign(env, { CONNECTOR: connector })
  const ran = await promisify(execFile)(command, args, { env, cwd: folder, timeout: 60_000 })
  assert.deepEqual(JSON.parse(ran.stdout), {
    output: 'done',
    runs: 1,
    losses: 0,
    renewer,
    singleton: 'succeeded',
  } satisfies Printed)
  // A thread that cannot start may be told of as a part that failed, too.
  const warned = ran.stderr
    .split('\n')
    .filter((line) => line.includes('ErrandWarning') && !line.includes(' The part '))
  assert.match(warned.join(' '), says)
  assert.equal(warned.length, renewer === 'thread' ? 0 : 2, ran.stderr)
  assert.match(readFileSync(`${own}.evaluated`, 'utf8'), loads, 'a thread ran the program')
}

function placeOf(name: string): string {
  return join(folder, name.replaceAll(' ', '-'))
}

/** Bundles the program with esbuild; answers the file. */
async function bundle(
  name: string,
  format: 'esm' | 'cjs',
  options: esbuild.BuildOptions = {},
): Promise<string> {
  const extension = format === 'esm' ? '.mjs' : '.cjs'
  await esbuild.build({
    ...given(format),
    entryPoints: { app },
    outdir: placeOf(name),
    outExtension: { '.js': extension },
    ...options,
  })
  return join(placeOf(name), `app${extension}`)
}

function given(format: 'esm' | 'cjs'): esbuild.BuildOptions {
  const external = ['pg', 'ioredis']
  return { bundle: true, platform: 'node', format, external, logLevel: 'error' }
}

/** Bundles the program with Vite, for servers; answers the file. */
async function ssr(
  name: string,
  options: vite.SSROptions,
  external: readonly string[] = [],
): Promise<string> {
  await vite.build({
    configFile: false,
    logLevel: 'error',
    root: folder,
    ssr: options,
    build: {
      ssr: app,
      outDir: placeOf(name),
      rolldownOptions: {
        output: { entryFileNames: 'app.mjs' },
        external: ['pg', 'ioredis', ...external],
      },
    },
  })
  return join(placeOf(name), 'app.mjs')
}

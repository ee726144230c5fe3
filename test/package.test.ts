/**
 * The package as users get it: built, packed, installed in a project of its own, type-checked there, and used from the
 * command line and from code. With `ERRAND_TEST_NODE=22` the project runs on that Node, from the npm package `node`.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import test, { after, before, suite } from 'node:test'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'errand-package-'))
const built = join(folder, 'built')
const project = join(folder, 'project')
const otherNode = process.env['ERRAND_TEST_NODE']
const tsc = join(root, 'node_modules/typescript/bin/tsc')
const timeoutMs = 60_000

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

const use = `import { createErrand, task, type JobRecord } from 'errand'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { raceRules, storeRules } from 'errand/conformance'
import * as testing from 'errand/testing'

const double = task({ name: 'double', run: ({ n }: { n: number }) => n * 2 })

for (const store of [memory(), sqlite('use.db')]) {
  const errand = createErrand({ store, tasks: [double] })
  const worker = errand.worker()
  await worker.start()
  const job = await errand.enqueue(double, { n: 21 })
  const result: number = await job.result()
  const record: JobRecord | null = await errand.jobs.get(job.id)
  console.log(store.info.kind, worker.status.renewer, result, record?.state)
  await errand.close()
}
// @ts-expect-error -- n is a number
void (() => createErrand({ store: memory() }).enqueue(double, { n: 'no' }))
console.log(storeRules.length + raceRules.length > 100, Object.keys(testing).length > 0)
`

suite('the package', () => {
  before(async () => {
    await build()
    const tarball = await pack()
    await install(tarball)
  })
  after(() => rmSync(folder, { recursive: true }))

  test('holds what users need, and nothing else', async () => {
    const printed = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts'], built)
    const packed: unknown = JSON.parse(printed)
    const [{ files }] = (Array.isArray(packed) ? packed : Object.values(packed as object)) as [
      { readonly files: readonly { readonly path: string }[] },
    ]
    const others = files
      .map(({ path }) => path)
      .filter((path) => !/^dist\/.*\.(?:js|d\.ts)$/.test(path) || path.includes('.test'))
    assert.deepEqual(others.toSorted(), [
      'LICENSE',
      'README.md',
      'monitoring/alerts.yml',
      'monitoring/grafana-board.json',
      'package.json',
    ])
  })

  test('its types hold in a project of TypeScript', async () => {
    const printed = await run(process.execPath, [tsc, '-p', project], project).catch(
      (error: Error) => error.message,
    )
    assert.equal(printed.trim(), '')
  })

  test('it runs from code, on every store it has', async () => {
    const version = await run('node', ['--version'], project)
    if (otherNode !== undefined) assert.ok(version.startsWith(`v${otherNode}`), version)
    const printed = await run('node', ['use.ts'], project)
    assert.deepEqual(printed.trim().split('\n'), [
      'memory event-loop 42 completed',
      'sqlite thread 42 completed',
      'true true',
    ])
  })

  test('its command begins a project, runs a worker there, and enqueues', async () => {
    const errand = (...args: readonly string[]): Promise<string> =>
      run('npx', ['errand', ...args], project)
    assert.equal((await errand('--version')).trim(), manifest.version)
    assert.match(await errand('init'), /errand\.config\.ts/)

    const worker = spawn(
      'node',
      [join(project, 'node_modules/errand/dist/cli/main.js'), 'worker'],
      {
        cwd: project,
        env: environment(),
        stdio: 'ignore',
      },
    )
    try {
      const printed = await errand('enqueue', 'hello', '{"name":"you"}', '--wait')
      assert.deepEqual(JSON.parse(printed), { greeting: 'Hello, you!' })
    } finally {
      worker.kill('SIGTERM')
      if (worker.exitCode === null) await once(worker, 'exit')
    }
    assert.equal(worker.exitCode, 0)
  })
})

/** Builds beside `dist/`, so that whoever uses that is not disturbed. */
async function build(): Promise<void> {
  mkdirSync(built)
  for (const file of ['package.json', 'README.md', 'LICENSE'])
    cpSync(join(root, file), join(built, file))
  cpSync(join(root, 'monitoring'), join(built, 'monitoring'), { recursive: true })
  await run(
    process.execPath,
    [tsc, '-p', 'tsconfig.build.json', '--outDir', join(built, 'dist')],
    root,
  )
}

async function pack(): Promise<string> {
  const printed = await run(
    'npm',
    ['pack', '--ignore-scripts', '--pack-destination', folder],
    built,
  )
  return join(folder, printed.trim().split('\n').at(-1) ?? '')
}

async function install(tarball: string): Promise<void> {
  mkdirSync(project)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    types: ['node'],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  writeFileSync(join(project, 'use.ts'), use)
  const packages = [tarball, `@types/node@${manifest.devDependencies['@types/node']}`]
  if (otherNode !== undefined) packages.push(`node@${otherNode}`)
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  await run('npm', ['install', ...quietly, ...packages], project)
}

function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      { cwd, timeout: timeoutMs, env: environment() },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`, { cause: error }))
      },
    )
  })
}

/** As in a terminal of the project's own: nothing of the npm that runs the tests, and the Node that is meant. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^NODE_OPTIONS$/.test(name),
  )
  const nodes = [join(project, 'node_modules/.bin'), dirname(process.execPath), process.env['PATH']]
  return { ...Object.fromEntries(inherited), NO_COLOR: '1', PATH: nodes.join(delimiter) }
}

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { errand, root, startNode, type Ended } from './command-line.ts'

const execute = promisify(execFile)

/** What a person types after an `npm install errand`, with the package as it is built. */
suite('init', () => {
  let place: string
  const command = (args: readonly string[], cwd: string): Promise<Ended> =>
    startNode([join(cwd, 'node_modules/.bin/errand'), ...args], { cwd }).ended

  /** A folder in which the built package is installed, beside the given files. */
  const makeFolder = async (
    name: string,
    files: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    const folder = join(place, name)
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true })
    await symlink(join(place, 'errand'), join(folder, 'node_modules/errand'))
    await symlink(join(place, 'errand/dist/cli/main.js'), join(folder, 'node_modules/.bin/errand'))
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
    return folder
  }

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'errand-init-'))
    const built = join(place, 'errand')
    await mkdir(built)
    await copyFile(join(root, 'package.json'), join(built, 'package.json'))
    await symlink(join(root, 'node_modules'), join(built, 'node_modules'))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    // Types are checked elsewhere; what is emitted is what runs.
    await execute(process.execPath, [
      compiler,
      '-p',
      join(root, 'tsconfig.build.json'),
      '--outDir',
      join(built, 'dist'),
      '--noCheck',
    ])
    await chmod(join(built, 'dist/cli/main.js'), 0o755)
  })
  after(() => rm(place, { recursive: true, force: true }))

  test('what it writes runs as it stands', async () => {
    for (const [name, files, extension] of [
      ['bare', {}, 'ts'],
      ['module', { 'package.json': '{"type":"module"}' }, 'ts'],
      ['commonjs', { 'package.json': '{"type":"commonjs"}' }, 'mts'],
      ['installed', { 'package.json': '{"dependencies":{}}', 'package-lock.json': '{}' }, 'ts'],
      ['plain', { 'package.json': '{"dependencies":{}}', 'index.js': '' }, 'mts'],
    ] as const) {
      const cwd = await makeFolder(name, files)
      const { code, stdout, stderr } = await command(['init'], cwd)
      assert.equal(stderr, '', name)
      assert.equal(code, 0)
      assert.match(stdout, new RegExp(`^written +errand\\.config\\.${extension}$`, 'm'))
      assert.match(
        stdout,
        /Next:\n +npx errand worker\n +npx errand enqueue hello '\{"name":"you"\}' --wait/,
      )

      const worker = startNode([join(cwd, 'node_modules/.bin/errand'), 'worker'], { cwd })
      await worker.shown('started')
      const waited = await command(['enqueue', 'hello', '{"name":"you"}', '--wait'], cwd)
      assert.equal(waited.stderr, '', name)
      assert.deepEqual(JSON.parse(waited.stdout), { greeting: 'Hello, you!' })
      worker.kill('SIGTERM')
      const ended = await worker.ended
      assert.equal(ended.code, 0)
      assert.equal(ended.stderr, '', name)
    }
  })

  test('the command starts by its own name', async () => {
    const cwd = await makeFolder('named')
    const path = `${dirname(process.execPath)}:${process.env['PATH']}`
    const { stdout } = await execute(join(cwd, 'node_modules/.bin/errand'), ['--version'], {
      cwd,
      env: { ...process.env, PATH: path },
    })
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  })

  test('it overwrites nothing', async () => {
    const files = {
      'tasks.ts': 'mine',
      'errand.config.mjs': 'mine too',
      'package.json': '{"type":"module"}',
      '.gitignore': 'dist',
    }
    const cwd = await makeFolder('kept', files)
    const { code, stdout } = await command(['init'], cwd)
    assert.equal(code, 0)
    assert.match(stdout, /^kept +tasks\.ts\nkept +errand\.config\.mjs\nextended +\.gitignore\n/m)
    for (const [file, text] of Object.entries(files)) {
      const expected = file === '.gitignore' ? 'dist\nerrand.db*\n' : text
      assert.equal(await readFile(join(cwd, file), 'utf8'), expected)
    }
    await command(['init'], cwd)
    assert.equal(await readFile(join(cwd, '.gitignore'), 'utf8'), 'dist\nerrand.db*\n')
  })

  test('a folder that cannot be made is refused on one line', async () => {
    const { code, stderr } = await errand(['init', '/dev/null/jobs'], { cwd: place })
    assert.match(stderr, /^error: Nothing can be written there: .*\n$/)
    assert.equal(code, 2)
  })

  test('a folder without the package is told to install it', async () => {
    const { stdout } = await errand(['init', 'new'], { cwd: place })
    assert.match(stdout, /Next:\n +cd new\n/)
    assert.match(await readFile(join(place, 'new/package.json'), 'utf8'), /"name": "new"/)
  })
})

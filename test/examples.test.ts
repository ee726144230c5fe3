/**
 * Every example runs as it is told in it, and prints what it says at its end. One with a line `// Needs: postgres`, `redis` or `rabbitmq` gets
 * a server, at DATABASE_URL, REDIS_URL or RABBITMQ_URL.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, suite } from 'node:test'
import { pageServers, type Need } from './page-servers.ts'

const root = join(import.meta.dirname, '..')
const timeoutMs = 60_000
/** Node 22 warns of its SQLite. */
const flags = ['--conditions=errand-source', '--disable-warning=ExperimentalWarning']

const programs = globSync('examples/**/*.ts', { cwd: root })
  .toSorted()
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))
  .filter(({ text }) => text.includes('// Output:\n'))
  .map((program) => ({ ...program, need: needOf(program.text) }))
const needed = programs.flatMap(({ need }) => (need === null ? [] : [need]))
const servers = await pageServers(new Set(needed))
after(() => servers.stop())

test('every file at the top of examples/ tells its output', () => {
  const told = programs.map(({ file }) => file)
  const untold = globSync('examples/*.ts', { cwd: root }).filter((file) => !told.includes(file))
  assert.deepEqual(untold, [])
})

suite('examples', { concurrency: 2 }, () => {
  for (const { file, text, need } of programs) {
    const skip = need !== null && !servers.has(need)
    test(`${file} prints what it says`, { skip }, async () => {
      const printed = await run(file, block(text, 'Input'))
      assert.equal(printed.trimEnd(), block(text, 'Output'))
    })
  }
})

function needOf(text: string): Need | null {
  const [, need] = /^\/\/ Needs: (postgres|redis|rabbitmq)$/m.exec(text) ?? []
  return (need ?? null) as Need | null
}

/** The comment lines under `// Input:` or `// Output:`, the last things in a file. */
function block(text: string, name: 'Input' | 'Output'): string {
  const after = text.split(`// ${name}:\n`)[1] ?? ''
  const lines: string[] = []
  for (const line of after.split('\n')) {
    if (!line.startsWith('//')) break
    lines.push(line.slice('// '.length))
  }
  return lines.join('\n')
}

/** Runs a program of the repository and answers what it wrote to stdout; it must write nothing to stderr. */
function run(file: string, input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [...flags, file],
      {
        cwd: root,
        timeout: timeoutMs,
        env: {
          ...process.env,
          NODE_OPTIONS: '',
          NODE_TEST_CONTEXT: undefined,
          NO_COLOR: '1',
          ...servers.env,
        },
      },
      (error, stdout, stderr) => {
        if (error !== null) reject(error)
        else if (stderr !== '') reject(new Error(`${file} wrote to stderr: ${stderr}`))
        else resolve(stdout)
      },
    )
    child.stdin?.end(input === '' ? '' : `${input}\n`)
  })
}

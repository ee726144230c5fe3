/** The names that docs/settings.md gives for settings of other systems exist in Errand. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createErrand, task, type Errand } from 'errand'
import { memory } from 'errand/memory'

const root = join(import.meta.dirname, '..')
const run = promisify(execFile)

/** Takes options; refuses those that it does not know. */
type Taker = (options: object) => unknown

const takers: Readonly<Record<string, (errand: Errand) => Taker>> = {
  createErrand: () => (options) => createErrand({ ...options, store: memory() }),
  'errand.worker': (errand) => (options) => errand.worker(options),
  task: () => (options) => task({ name: 'any', run: () => 1, ...options } as never),
}

/** What the third column of the tables names. */
function namesIn(page: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8')
  const rows = text.split('\n').filter((line) => line.startsWith('| ') && !line.includes('there |'))
  const cells = rows.map((row) => row.split('|')[3] ?? '')
  return [
    ...new Set(
      cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)),
    ),
  ]
}

/** `{ a: { b } }` as options whose last value is left out. */
function optionsOf(text: string): object {
  const path = text.match(/\w+/g) ?? []
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), undefined) as object
}

const unknown = /has no option/

/** What is wrong with options beside their values, which are left out; empty for nothing. */
function complaintOf(take: Taker, given: string): string {
  try {
    take(optionsOf(given))
    return ''
  } catch (error) {
    return String(error)
  }
}

const names = namesIn('docs/settings.md')
const options = names.flatMap((name) => {
  const [, owner = '', given = ''] = /^([\w.]+)\(\{(.*)\}\)$/.exec(name) ?? []
  return owner === '' ? [] : [{ name, owner, given }]
})

for (const { name, owner, given } of options) {
  test(`${name} is an option, and no other is taken in its place`, async (t) => {
    const errand = createErrand({ store: memory() })
    t.after(() => errand.close())
    const take = takers[owner]?.(errand)
    assert.ok(take !== undefined, `${owner} is none of ${Object.keys(takers).join(', ')}`)
    assert.doesNotMatch(complaintOf(take, given), unknown)
    assert.match(complaintOf(take, given.replace(/(\w+)(\W*)$/, '$1x$2')), unknown)
  })
}

test('the methods that are named exist', async (t) => {
  const errand = createErrand({ store: memory() })
  t.after(() => errand.close())
  const roots: Readonly<Record<string, unknown>> = { errand, worker: errand.worker() }
  const methods = names.filter((name) => /^(?:errand|worker)(?:\.\w+)+$/.test(name))
  assert.ok(methods.length >= 6)
  for (const name of methods) {
    const found = name
      .split('.')
      .reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], roots)
    assert.equal(typeof found, 'function', name)
  }
})

test('the options of the command that are named exist', async () => {
  const flags = names.filter((name) => name.startsWith('errand worker --'))
  const args = ['--conditions=errand-source', 'src/cli/main.ts', 'worker', '--help']
  const { stdout } = await run(process.execPath, args, { cwd: root })
  assert.ok(flags.length >= 3)
  for (const name of flags) assert.match(stdout, new RegExp(`${name.split(' ')[2]}\\b`), name)
})

test('every name is of a kind that is checked', () => {
  const checked = /^(?:[\w.]+\(\{.*\}\)|(?:errand|worker)(?:\.\w+)+|errand worker --[\w-]+)$/
  assert.deepEqual(
    names.filter((name) => !checked.test(name)),
    [],
  )
  assert.ok(names.length >= 20)
})

test('scenarios that name a file of tests name tests in it', () => {
  const text = readFileSync(join(root, 'docs/ported-scenarios.md'), 'utf8')
  const rows = text.split('\n').filter((line) => / in `test\/[\w/.-]+`/.test(line))
  const missing = rows.flatMap((row) => {
    const cell = row.split(' | ').at(-1) ?? ''
    const [, file = ''] = / in `(test\/[\w/.-]+)`/.exec(cell) ?? []
    const named = [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
    const source = readFileSync(join(root, file), 'utf8')
    return named.filter((name) => name !== file && !source.includes(`'${name}'`))
  })
  assert.deepEqual(missing, [])
  assert.ok(rows.length >= 8)
})

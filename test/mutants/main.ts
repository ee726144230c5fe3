/**
 * `npm run mutants [-- name…]`: breaks the code in committed ways and shows that the tests notice.
 *
 * Each `*.patch` beside this file is one mutant. Its lines before the diff name the guarantee of the design that it
 * breaks and the tests that must fail:
 *
 *     Guarantee: 2, accepted once
 *     Tests: src/stores/sqlite/sqlite.test.ts
 *     Pattern: stale            (optional: only tests whose name matches)
 *
 * The patch is applied to a copy of the sources, never to the checkout. A mutant that survives, one that does not even
 * load, a patch that no longer applies, and tests that fail without any mutant end the run with exit code 1.
 */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

interface Mutant {
  readonly name: string
  readonly file: string
  readonly guarantee: string
  readonly tests: readonly string[]
  readonly pattern: string | null
}

interface Verdict {
  readonly word: 'caught' | 'SURVIVED' | 'DOES NOT APPLY' | 'DOES NOT LOAD'
  /** The test that noticed. */
  readonly by: string
}

/** How a run of tests went: the names of those that failed, innermost first, or that it did not end. */
type Run = { readonly failed: readonly string[] } | 'hung'

const root = resolve(import.meta.dirname, '../..')
const copied = [
  'dashboard',
  'src',
  'test',
  'docs',
  'examples',
  'package.json',
  'tsconfig.json',
  'README.md',
]
/** A mutant that makes the tests hang is caught by that. Tests that bring a timeout of their own keep it. */
const longestMs = { test: 20_000, mutant: 60_000, unbroken: 240_000 } as const

const names = process.argv.slice(2)
const mutants = readMutants(names)
if (mutants.length === 0) {
  console.error(`No mutant is called ${names.join(' ')}; see test/mutants/.`)
  process.exit(2)
}
const copy = makeCopy()
try {
  process.exitCode = (await isUnbroken(mutants)) && (await areCaught(mutants)) ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}

function readMutants(wanted: readonly string[]): readonly Mutant[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.patch'))
    .toSorted()
    .map((file) => readMutant(join(import.meta.dirname, file)))
    .filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
}

function readMutant(file: string): Mutant {
  const head = readFileSync(file, 'utf8').split(/^(?:diff|---) /m, 1)[0] ?? ''
  const field = (name: string): string | null =>
    new RegExp(`^${name}: (.+)$`, 'm').exec(head)?.[1]?.trim() ?? null
  const guarantee = field('Guarantee')
  const tests = field('Tests')?.split(/\s+/) ?? []
  if (guarantee === null || tests.length === 0) {
    throw new Error(`${file} must begin with the lines "Guarantee: …" and "Tests: …"`)
  }
  return { name: basename(file, '.patch'), file, guarantee, tests, pattern: field('Pattern') }
}

function makeCopy(): string {
  const folder = mkdtempSync(join(tmpdir(), 'errand-mutants-'))
  for (const part of copied) cpSync(join(root, part), join(folder, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** A test that fails anyway shows nothing: runs each file once, with what all of its mutants ask for. */
async function isUnbroken(all: readonly Mutant[]): Promise<boolean> {
  const started = performance.now()
  const files = new Set(all.flatMap(({ tests }) => tests))
  let isWell = true
  for (const file of files) {
    const patterns = all.filter(({ tests }) => tests.includes(file)).map(({ pattern }) => pattern)
    const wanted = patterns.includes(null) ? [] : [...new Set(patterns)].map(String)
    const run = await runTests([file], wanted, 'all')
    if (run !== 'hung' && run.failed.length === 0) continue
    isWell = false
    console.error(`Without any mutant ${file} ${run === 'hung' ? 'hangs' : 'fails'} already:`)
    if (run !== 'hung') for (const name of run.failed) console.error(`  ${name}`)
  }
  if (isWell)
    console.log(`Unbroken, all ${files.size} test files pass (${secondsSince(started)} s)`)
  return isWell
}

async function areCaught(all: readonly Mutant[]): Promise<boolean> {
  const started = performance.now()
  const widest = Math.max(...all.map(({ name }) => name.length))
  let guarantee = ''
  let caught = 0
  for (const [i, mutant] of all.entries()) {
    if (mutant.guarantee !== guarantee) console.log(`\nGuarantee ${mutant.guarantee}`)
    guarantee = mutant.guarantee
    const begun = performance.now()
    const { word, by } = await judge(mutant)
    if (word === 'caught') caught++
    const count = `${i + 1}/${all.length}`
    const time = `${secondsSince(begun)} s`
    console.log(
      `${count.padStart(7)}  ${word.padEnd(8)}  ${mutant.name.padEnd(widest)}  ${time.padStart(6)}  ${by}`.trimEnd(),
    )
  }
  console.log(`\n${caught} of ${all.length} mutants caught (${secondsSince(started)} s)`)
  return caught === all.length
}

function secondsSince(started: number): string {
  return ((performance.now() - started) / 1_000).toFixed(1)
}

async function judge(mutant: Mutant): Promise<Verdict> {
  if (!applies(mutant, [])) return { word: 'DOES NOT APPLY', by: '' }
  try {
    const patterns = mutant.pattern === null ? [] : [mutant.pattern]
    const run = await runTests(mutant.tests, patterns, 'until one fails')
    if (run === 'hung') return { word: 'caught', by: `no end after ${longestMs.mutant / 1_000} s` }
    const [first] = run.failed
    if (first === undefined) return { word: 'SURVIVED', by: '' }
    // A file that fails as a whole, before any test of it, has only shown that the mutant is no program.
    if (mutant.tests.some((file) => first.endsWith(file)))
      return { word: 'DOES NOT LOAD', by: first }
    return { word: 'caught', by: first }
  } finally {
    applies(mutant, ['--reverse'])
  }
}

function applies(mutant: Mutant, options: readonly string[]): boolean {
  try {
    execFileSync('git', ['apply', '--unidiff-zero', ...options, mutant.file], {
      cwd: copy,
      stdio: 'pipe',
    })
    return true
  } catch (error) {
    console.error(String(error))
    return false
  }
}

async function runTests(
  tests: readonly string[],
  patterns: readonly string[],
  how: 'all' | 'until one fails',
): Promise<Run> {
  const options = ['--conditions=errand-source', '--test', '--test-reporter=tap']
  if (how === 'until one fails') options.push(`--test-timeout=${longestMs.test}`)
  for (const pattern of patterns) options.push(`--test-name-pattern=${pattern}`)
  // A test runner inside another one would report to it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  // In a group of its own, so that what tests have started ends with them.
  const run = spawn(process.execPath, [...options, ...tests], {
    cwd: copy,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  const end = (): void => endGroup(run.pid)
  const endAll = (): never => {
    end()
    rmSync(copy, { recursive: true, force: true })
    process.exit(130)
  }
  let isLate = false
  const timer = setTimeout(
    () => {
      isLate = true
      end()
    },
    how === 'all' ? longestMs.unbroken : longestMs.mutant,
  )
  process.once('SIGINT', endAll)
  process.once('SIGTERM', endAll)
  try {
    const failed: string[] = []
    for await (const line of createInterface(run.stdout)) {
      const name = /^\s*not ok \d+ - (.*)$/.exec(line)?.[1]
      if (name === undefined) continue
      failed.push(name)
      if (how === 'until one fails') break
    }
    return isLate ? 'hung' : { failed }
  } finally {
    clearTimeout(timer)
    end()
    process.off('SIGINT', endAll)
    process.off('SIGTERM', endAll)
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

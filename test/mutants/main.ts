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
 * The patch is applied to a copy of the sources, never to the checkout. A mutant that survives, a patch that no longer
 * applies, and tests that fail without any mutant end the run with exit code 1.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

interface Mutant {
  readonly name: string
  readonly file: string
  readonly guarantee: string
  readonly tests: readonly string[]
  readonly pattern: string | null
}

type Verdict = 'caught' | 'SURVIVED' | 'DOES NOT APPLY'

const root = resolve(import.meta.dirname, '../..')
const copied = ['src', 'test', 'docs', 'examples', 'package.json', 'tsconfig.json', 'README.md']
/** A mutant that makes the tests hang is caught by that. */
const longestTestMs = 180_000

const mutants = readMutants(process.argv.slice(2))
if (mutants.length === 0) {
  console.error(`No mutant is called ${process.argv.slice(2).join(' ')}; see test/mutants/.`)
  process.exit(2)
}
const copy = makeCopy()
try {
  checkUnbroken(mutants)
  const verdicts = mutants.map((mutant, i) => {
    const started = performance.now()
    const verdict = judge(mutant)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const count = `${i + 1}/${mutants.length}`
    console.log(
      `${count.padEnd(6)} ${verdict.padEnd(9)} ${mutant.name.padEnd(44)} guarantee ${mutant.guarantee} (${seconds} s)`,
    )
    return verdict
  })
  const caught = verdicts.filter((verdict) => verdict === 'caught').length
  console.log(`${caught} of ${mutants.length} mutants caught`)
  process.exitCode = caught === mutants.length ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}

function readMutants(names: readonly string[]): readonly Mutant[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.patch'))
    .toSorted()
    .map((file) => readMutant(join(import.meta.dirname, file)))
    .filter(({ name }) => names.length === 0 || names.some((wanted) => name.includes(wanted)))
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

/** A test that fails anyway shows nothing. */
function checkUnbroken(all: readonly Mutant[]): void {
  const tests = [...new Set(all.flatMap((mutant) => mutant.tests))]
  if (passes({ tests, pattern: null })) return
  console.error(`Without any mutant these fail already: ${tests.join(' ')}`)
  process.exit(1)
}

function judge(mutant: Mutant): Verdict {
  if (!applies(mutant, [])) return 'DOES NOT APPLY'
  try {
    return passes(mutant) ? 'SURVIVED' : 'caught'
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

function passes({ tests, pattern }: Pick<Mutant, 'tests' | 'pattern'>): boolean {
  const options = ['--conditions=errand-source', '--test', '--test-reporter=dot']
  if (pattern !== null) options.push(`--test-name-pattern=${pattern}`)
  // A test runner inside another one would report to it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const run = spawnSync(process.execPath, [...options, ...tests], {
    cwd: copy,
    env,
    stdio: 'ignore',
    timeout: longestTestMs,
    killSignal: 'SIGKILL',
  })
  return run.status === 0
}

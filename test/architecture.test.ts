/**
 * Holds the sources to the layout of the house: who may import whom, how long a file may be, and that the core stays pure.
 * Each rule is a function from sources to complaints, so that a failing test prints every offence with its file and line.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '..')
const maxSourceLines = 400
const maxTestLines = 600

interface SourceFile {
  /** Path from the repository root, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly lines: number
}

interface Import {
  readonly line: number
  /** Whether nothing of it exists at run time. */
  readonly isType: boolean
  readonly specifier: string
}

/** What any part above the boundary may stand on. */
const ground = ['core', 'store', 'observe'] as const

/** The parts that a part of `src/` may import beside itself; `anything` lifts the rule, stores included. */
const allowedParts: Readonly<Record<string, readonly string[] | 'anything'>> = {
  core: [],
  store: ['core'],
  observe: ['core', 'store'],
  app: ground,
  loops: ground,
  client: [...ground, 'app', 'loops'],
  singleton: [...ground, 'app', 'loops', 'flows'],
  flows: [...ground, 'app', 'loops', 'client'],
  keeper: [...ground, 'app', 'loops', 'flows'],
  worker: [...ground, 'app', 'loops', 'client', 'keeper', 'flows'],
  fleet: [...ground, 'app', 'loops', 'client', 'keeper', 'worker'],
  manager: [...ground, 'app', 'loops', 'client', 'keeper', 'flows'],
  sources: [...ground, 'app', 'loops', 'client', 'keeper', 'flows'],
  stores: ['core', 'store'],
  'stores/memory': ['core', 'store', 'stores'],
  'stores/sqlite': ['core', 'store', 'stores'],
  'stores/postgres': ['core', 'store', 'stores'],
  'stores/redis': ['core', 'store', 'stores'],
  'stores/http': ['core', 'store', 'stores'],
  cli: 'anything',
  testing: 'anything',
}

/** Files directly in `src/` join the parts for users, and may import each other. */
const allowedAtTop: readonly string[] = [
  ...ground,
  'app',
  'client',
  'keeper',
  'worker',
  'fleet',
  'singleton',
  'loops',
  'flows',
  'sources',
]

/** The clients of servers, each of which belongs to one part. */
const peers: Readonly<Record<string, string>> = {
  'node:sqlite': 'stores/sqlite',
  'better-sqlite3': 'stores/sqlite',
  pg: 'stores/postgres',
  ioredis: 'stores/redis',
  amqplib: 'sources',
  '@aws-sdk/client-sqs': 'sources',
  '@nats-io/jetstream': 'sources',
  '@nats-io/transport-node': 'sources',
}

/** What the core may import from outside: pure functions and types only. */
const allowedPackagesInCore: readonly string[] = ['@standard-schema/spec', 'ms']
const allowedFromCryptoInCore: readonly string[] = ['createHash', 'hash']

/** Where the core decides what becomes of jobs. Stores carry that out. */
const policies: readonly string[] = [
  'src/core/backoff.ts',
  'src/core/decide.ts',
  'src/core/enqueue-options.ts',
  'src/core/options.ts',
]

const impureInCore: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bMath\.random\b/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bperformance\.now\b/,
  /\bcrypto\.(?:randomUUID|getRandomValues)\b/,
  /\bprocess\./,
]

/** Takes the machine's timers before a test can replace the global ones; the core uses none of them. */
const timers = 'src/core/timers.ts'
const globalTimers = /(?<![.\w])(?:set(?:Timeout|Interval|Immediate)|performance\.now)\b/

const files = [...filesUnder('src'), ...filesUnder('test')]
const tests = files.filter(({ path }) => path.startsWith('test/') || isTest(path))
const sources = files.filter(({ path }) => path.startsWith('src/') && !isTest(path))
const core = sources.filter(({ path }) => partOf(path) === 'core')
/** The planned times of schedules, which every process must find the same. */
const ticks = sources.filter(({ path }) =>
  /^src\/flows\/schedules\/(?:calendar|cron|ticks|wall-times|when|zone)\.ts$/.test(path),
)

test('every file of src belongs to a part that the layout knows', () => {
  assertNone(
    sources
      .filter(({ path }) => !isAtTop(path) && allowedParts[partOf(path)] === undefined)
      .map(({ path }) => `${path}: '${partOf(path)}' is not in the layout; add it to allowedParts`),
  )
})

test('a part imports only the parts that the layout allows it', () => {
  assertNone(
    sources.flatMap((file) =>
      importsOf(file).flatMap(({ line, specifier }) => {
        const target = partImported(file.path, specifier)
        if (target === undefined || mayImport(file.path, target)) return []
        return [
          `${file.path}:${line}: '${partOf(file.path)}' may not import '${target}' (${specifier})`,
        ]
      }),
    ),
  )
})

test('imports form no circle, but for types of one folder', () => {
  const reached = new Map(sources.map((file) => [file.path, reachedFrom(file.path)]))
  const isOn = (path: string): boolean => reached.get(path)?.has(path) ?? false
  const circles = sources
    .filter(({ path }) => isOn(path))
    .map(({ path }) =>
      [...(reached.get(path) ?? [])].filter((other) => reached.get(other)?.has(path)),
    )
    .filter((circle) => new Set(circle.map((path) => dirname(path))).size > 1)
  assertNone([...new Set(circles.map((circle) => circle.toSorted().join(' ↔ ')))])
  const atRunTime = sources.filter(({ path }) => reachedFrom(path, 'values').has(path))
  assertNone(atRunTime.map(({ path }) => `${path} is on a circle of imports at run time`))
})

test('the public surface is re-exports only', () => {
  const reExport =
    /\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*(['"])[^'"]+\1;?/g
  assertNone(
    sources
      .filter(({ path }) => path === 'src/index.ts')
      .map(({ path, text }) => ({
        path,
        rest: withoutComments(text).replaceAll(reExport, '').trim(),
      }))
      .filter(({ rest }) => rest !== '')
      .map(
        ({ path, rest }) => `${path}: move this into the part that owns it: ${rest.slice(0, 80)}`,
      ),
  )
})

test('what waits in a program of the user waits by timers that no test replaces', () => {
  assertNone(
    sources
      .filter(({ path }) => path !== timers && partOf(path) !== 'cli')
      .filter(({ path }) => !path.startsWith('src/testing/conformance/'))
      .filter(({ text }) => globalTimers.test(withoutComments(text)))
      .filter(
        ({ text }) =>
          !/import \{[^}]*\} from '(?:[./]+(?:core\/)?timers\.ts|node:timers\/promises)'/.test(
            text,
          ),
      )
      .map(({ path }) => `${path}: import its timers from ${timers}`),
  )
})

test('a database client is imported by its own store only', () => {
  assertNone(
    sources.flatMap((file) =>
      importsOf(file).flatMap(({ line, specifier }) => {
        const owner = peers[specifier] ?? peers[packageOf(specifier)]
        if (owner === undefined || owner === partOf(file.path)) return []
        if (allowedParts[partOf(file.path)] === 'anything') return []
        return [`${file.path}:${line}: '${specifier}' belongs to ${owner}`]
      }),
    ),
  )
})

test('a store imports no policy: what follows an outcome is decided before it is asked', () => {
  assertNone(
    sources
      .filter(({ path }) => path.startsWith('src/stores/'))
      .flatMap((file) =>
        importsOf(file).flatMap(({ line, specifier }) => {
          const target = fileImported(file.path, specifier)
          if (target === undefined || !policies.includes(target)) return []
          return [
            `${file.path}:${line}: a store may not import ${target}; put the decision in there`,
          ]
        }),
      ),
  )
})

test('the core imports no package but pure ones, and from Node only hashing', () => {
  assertNone(
    core.flatMap((file) =>
      importsOf(file).flatMap(({ line, specifier }) => {
        if (specifier.startsWith('.') || allowedPackagesInCore.includes(specifier)) return []
        if (specifier === 'node:crypto' && importsOnlyHashing(file.text)) return []
        return [
          `${file.path}:${line}: the core may not import '${specifier}'; pass in what it gives`,
        ]
      }),
    ),
  )
})

test('the core and the ticks of schedules read no clock and no randomness, and set no timer', () => {
  assert.equal(ticks.length, 6)
  assertNone(
    [...core, ...ticks]
      .filter(({ path }) => path !== timers)
      .flatMap((file) =>
        linesMatching(withoutComments(file.text), impureInCore).map(
          ({ line, match }) =>
            `${file.path}:${line}: '${match}' in pure code; pass in now, random or an answer`,
        ),
      ),
  )
})

test(`no source is over ${maxSourceLines} lines, no test over ${maxTestLines}`, () => {
  assertNone([...tooLong(sources, maxSourceLines), ...tooLong(tests, maxTestLines)])
})

test('nothing is left to be done in the sources', () => {
  assertNone(
    sources.flatMap((file) =>
      linesMatching(file.text, [/\b(?:TODO|FIXME|XXX)\b/]).map(
        ({ line, match }) => `${file.path}:${line}: ${match}; do it now or file an issue`,
      ),
    ),
  )
})

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name)
      const text = readFileSync(file, 'utf8')
      const path = relative(root, file).replaceAll(sep, '/')
      return { path, text, lines: text.trimEnd().split('\n').length }
    })
    .toSorted((a, b) => a.path.localeCompare(b.path))
}

function isTest(path: string): boolean {
  return /\.test(?:-d)?\.ts$/.test(path)
}

/** A file directly in `src/` is its own part, a store is one part each, otherwise the folder is the part. */
function partOf(path: string): string {
  const [first = '', second = '', third] = path.replace(/^src\//, '').split('/')
  return first === 'stores' && third !== undefined ? `stores/${second}` : first
}

function isAtTop(path: string): boolean {
  return path.split('/').length === 2
}

function partImported(from: string, specifier: string): string | undefined {
  if (specifier === 'errand' || specifier.startsWith('errand/'))
    return 'the package by its own name'
  const file = fileImported(from, specifier)
  return file === undefined ? undefined : partOf(file)
}

/** The path from the repository root of what a relative import names. */
function fileImported(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return relative(root, resolve(root, dirname(from), specifier)).replaceAll(sep, '/')
}

function mayImport(from: string, target: string): boolean {
  const own = partOf(from)
  if (isAtTop(from) && target.endsWith('.ts')) return true
  const allowed = allowedParts[own] ?? (isAtTop(from) ? allowedAtTop : [])
  return allowed === 'anything' || target === own || allowed.includes(target)
}

function packageOf(specifier: string): string {
  if (builtinModules.includes(specifier)) return `node:${specifier}`
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

/** Every static, dynamic and type-only import and re-export of a file. */
function importsOf(file: SourceFile): Import[] {
  const text = withoutComments(file.text)
  const found = text.matchAll(
    /(?:^\s*(?:import|export)\b[^'"`;=()]*?\bfrom\s*|^\s*import\s*|\bimport\(\s*)(['"])([^'"]+)\1/gm,
  )
  return [...found].map(({ 0: match, 2: specifier = '', index }) => ({
    line: lineAt(text, index + match.length),
    isType: /^\s*(?:import|export)\s+type\b/.test(match) || hasOnlyTypes(match),
    specifier,
  }))
}

/** Whether each name in the braces of an import is marked as a type. */
function hasOnlyTypes(statement: string): boolean {
  const names = /^\s*(?:import|export)\s*\{([^}]*)\}/.exec(statement)?.[1]?.split(',')
  return names?.every((name) => name.trim() === '' || /^\s*type\s/.test(name)) ?? false
}

/** The files that a file imports, directly or through others; with `values` only those that exist at run time. */
function reachedFrom(path: string, what: 'all' | 'values' = 'all'): Set<string> {
  const found = new Set<string>()
  const open = [path]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const target of targetsOf(next, what)) {
      if (found.has(target)) continue
      found.add(target)
      open.push(target)
    }
  }
  return found
}

const targets = new Map<string, readonly string[]>()

function targetsOf(path: string, what: 'all' | 'values'): readonly string[] {
  const key = `${what} ${path}`
  const known = targets.get(key)
  if (known !== undefined) return known
  const file = sources.find((one) => one.path === path)
  const imports = file === undefined ? [] : importsOf(file)
  const made = imports
    .filter(({ isType }) => what === 'all' || !isType)
    .flatMap(({ specifier }) => fileImported(path, specifier) ?? [])
  targets.set(key, made)
  return made
}

function importsOnlyHashing(text: string): boolean {
  const named = [...text.matchAll(/\bimport\s*\{([^}]*)\}\s*from\s*['"]node:crypto['"]/g)]
  const mentions = [...text.matchAll(/['"]node:crypto['"]/g)]
  const names = named.flatMap(([, list = '']) => list.split(',').map((name) => name.trim()))
  return (
    named.length === mentions.length &&
    names.every((name) => name === '' || allowedFromCryptoInCore.includes(name))
  )
}

/** Blanks comments but keeps strings and line breaks, so that places stay true. */
function withoutComments(text: string): string {
  return text.replaceAll(
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`|\/\*[^]*?\*\/|\/\/[^\n]*/g,
    (piece) => (piece.startsWith('/') ? piece.replaceAll(/[^\n]/g, ' ') : piece),
  )
}

function linesMatching(
  text: string,
  patterns: readonly RegExp[],
): { readonly line: number; readonly match: string }[] {
  return text.split('\n').flatMap((content, index) =>
    patterns.flatMap((pattern) => {
      const match = pattern.exec(content)?.[0]
      return match === undefined ? [] : [{ line: index + 1, match }]
    }),
  )
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

function tooLong(checked: readonly SourceFile[], limit: number): string[] {
  return checked
    .filter(({ lines }) => lines > limit)
    .map(({ path, lines }) => `${path}: ${lines} lines, the limit is ${limit}; split it by role`)
}

function assertNone(complaints: readonly string[]): void {
  assert.equal(complaints.length, 0, `\n${complaints.join('\n')}`)
}

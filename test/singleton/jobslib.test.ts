/** What Jobslib's own tests check of its configuration, and the pages for those who come from it. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createErrand, singleton, type OptionSpec } from 'errand'
import { consulLiveness, consulLocks } from 'errand/consul'
import { memory } from 'errand/memory'
import { readSettings } from '../../src/singleton/settings.ts'

const root = join(import.meta.dirname, '../..')
const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8')
const nothing = { flags: {}, env: {} }
const never = new AbortController().signal
const run = (): void => {}

test('jobslib: an argument is declared by its name and any of type, default, description and environment', async () => {
  const specs: readonly (readonly [OptionSpec, unknown])[] = [
    [{ type: 'text' }, undefined],
    [{ type: 'number', default: 3 }, 3],
    [{ type: 'duration', description: 'how long', default: '2s' }, 2_000],
    [{ type: 'flag', description: 'send nothing', env: 'DRY' }, false],
  ]
  for (const [own, value] of specs) {
    const made = singleton({ name: 'a', options: { own }, run })
    assert.deepEqual(made.definition.options, { own })
    assert.deepEqual((await readSettings(made, nothing)).options, { own: value })
  }
})

test('jobslib: a group of options is one typed object', async () => {
  let seen: unknown = null
  const made = singleton({
    name: 'a',
    once: true,
    lock: 'none',
    options: {
      host: { type: 'text', default: 'localhost' },
      port: { type: 'number', default: 8_500 },
    },
    run: ({ options }) => {
      const both: { readonly host: string; readonly port: number } = options
      seen = { ...both }
    },
  })
  const errand = createErrand({ store: memory(), singletons: [made] })
  await errand.singletons.run('a', { signal: never, flags: { port: '9' } })
  await errand.close()
  assert.deepEqual(seen, { host: 'localhost', port: 9 })
})

const paces = {
  'neither interval': [{}, { kind: 'every', ms: 60_000 }],
  'the run interval': [{ every: '30s' }, { kind: 'every', ms: 30_000 }],
  'the sleep interval': [{ pause: '30s' }, { kind: 'pause', ms: 30_000 }],
} as const
for (const [what, [change, pace]] of Object.entries(paces)) {
  test(`jobslib: settings give the pace: ${what}`, async () => {
    const settings = await readSettings(singleton({ name: 'a', run, ...change }), nothing)
    assert.deepEqual(settings.pace, pace)
  })
}

test('jobslib: the log is that of the app', async () => {
  const told: unknown[] = []
  const made = singleton({
    name: 'a',
    once: true,
    lock: 'none',
    run: ({ log }) => log.warn('look', { at: 1 }),
  })
  const errand = createErrand({ store: memory(), singletons: [made] })
  errand.on('singleton-log', (line) => told.push(line))
  await errand.singletons.run('a', { signal: never })
  await errand.close()
  assert.deepEqual(told, [{ singleton: 'a', level: 'warn', text: 'look', fields: { at: 1 } }])
})

test('jobslib: the context of the app is handed to each run, and disposed at the end', async () => {
  const lives: string[] = []
  const made = singleton({
    name: 'a',
    once: true,
    lock: 'none',
    run: ({ context }) => void lives.push(`used ${(context as { readonly name: string }).name}`),
  })
  const errand = createErrand({
    store: memory(),
    singletons: [made],
    context: async () => ({
      name: 'database',
      [Symbol.asyncDispose]: async () => void lives.push('disposed'),
    }),
  })
  await errand.singletons.run('a', { signal: never })
  await errand.close()
  assert.deepEqual(lives, ['used database', 'disposed'])
})

const consul = { url: 'https://consul.internal:8501', timeout: '2.5s' } as const

test('jobslib: liveness in Consul takes scheme, host, port, timeout and key', async () => {
  const liveness = consulLiveness({ ...consul, key: 'jobs/example/liveness' })
  assert.deepEqual(liveness.info, { kind: 'consul', location: consul.url })
  await liveness.close()
  assert.throws(() => consulLiveness({ ...consul, timeout: '-1s' }), /timeout must be a duration/)
  assert.throws(() => consulLiveness({ url: 'ftp://consul' }), /url must be a URL/)
  assert.throws(() => consulLiveness({ kye: 'a' } as never), /Did you mean key/)
})

test('jobslib: a lock in Consul takes scheme, host, port, timeout, key and ttl', async () => {
  const lock = consulLocks({ ...consul, key: 'jobs/example/lock' })
  assert.deepEqual(lock.info, { kind: 'consul', location: consul.url })
  const made = singleton({ name: 'a', lock, ttl: '1m', run })
  const settings = await readSettings(made, nothing)
  assert.equal(settings.lock, lock)
  assert.equal(settings.ttlMs, 60_000)
  await lock.close()
})

const capabilities = 38

test('the page for Jobslib has a row for each of its capabilities, and each says what there is here', () => {
  const rows = [...page('from-jobslib.md').matchAll(/^\| (J\d+) \|([^|]*)\|([^|]*)\|/gm)]
  assert.deepEqual(
    rows.map(([, row]) => row),
    Array.from({ length: capabilities }, (_, i) => `J${i + 1}`),
  )
  for (const [, row = '', there = '', here = ''] of rows) {
    assert.notEqual(there.trim(), '', row)
    assert.notEqual(here.trim(), '', row)
  }
})

test('each test that is named for a scenario of Jobslib is there', () => {
  const texts = ['src/singleton', 'test/singleton', 'test/cli'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(root, folder, file), 'utf8')),
  )
  const section = page('ported-scenarios.md').split('### Jobslib (4.5)')[1] ?? ''
  const cells = [...section.matchAll(/^\| [^|]+ \| ([^|]+) \|$/gm)].map(([, cell]) => cell ?? '')
  const names = cells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''),
  )
  assert.ok(names.length > 30)
  // What a table fills in may be anything.
  const patterns = texts.flatMap((text) =>
    [...text.matchAll(/(['`"])((?:(?!\1).)+)\1/g)].map(([, , title = '']) => title),
  )
  const matches = (title: string, name: string): boolean => {
    const fixed = title.split(/\$\{(?:[^{}]|\{[^}]*\})*\}/)
    if (fixed.join('').length < 8) return false
    const source = fixed
      .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
      .join('.*')
    return new RegExp(`^${source}$`).test(name)
  }
  for (const name of names)
    assert.ok(
      patterns.some((title) => matches(title, name)),
      `no test is called ${name}`,
    )
})

import assert from 'node:assert/strict'
import test from 'node:test'
import * as z from 'zod'
import { readSettings, settingVariables, type ReadSettings } from './settings.ts'
import { singleton } from './singleton.ts'

const run = (): void => {}

/** Each setting as each source says it, and what is read then. */
const table: Readonly<
  Record<
    string,
    {
      readonly flag: string | boolean
      readonly env: string
      readonly config: unknown
      /** What flag, environment, definition and default give. */
      readonly gives: readonly [unknown, unknown, unknown, unknown]
      readonly read: (settings: ReadSettings) => unknown
      /** Other settings without which it means nothing. */
      readonly beside?: Readonly<Record<string, unknown>>
    }
  >
> = {
  once: {
    flag: true,
    env: '1',
    config: true,
    gives: ['once', 'once', 'once', 'every'],
    read: ({ pace }) => pace.kind,
  },
  every: {
    flag: '2s',
    env: '3000',
    config: '4s',
    gives: [2_000, 3_000, 4_000, 60_000],
    read: ({ pace }) => (pace.kind === 'every' ? pace.ms : null),
  },
  pause: {
    flag: '2s',
    env: '3s',
    config: 4_000.4,
    gives: [2_000, 3_000, 4_000, null],
    read: ({ pace }) => (pace.kind === 'pause' ? pace.ms : null),
  },
  keepLock: {
    flag: true,
    env: 'true',
    config: true,
    gives: [true, true, true, false],
    read: ({ keepLock }) => keepLock,
  },
  releaseOnError: {
    flag: true,
    env: '1',
    config: true,
    gives: [true, true, true, false],
    read: ({ releaseOnError }) => releaseOnError,
    beside: { keepLock: true },
  },
  lock: {
    flag: 'etcd',
    env: 'consul',
    config: 'none',
    gives: ['etcd', 'consul', 'none', 'store'],
    read: ({ lock }) => lock,
  },
  ttl: {
    flag: '20s',
    env: '21s',
    config: '22s',
    gives: [20_000, 21_000, 22_000, 30_000],
    read: ({ ttlMs }) => ttlMs,
  },
  grace: {
    flag: 'none',
    env: '1m',
    config: '2m',
    gives: [null, 60_000, 120_000, 25_000],
    read: ({ graceMs }) => graceMs,
  },
  liveness: {
    flag: 'file:/run/a, consul',
    env: 'http:8080',
    config: [],
    gives: [['file:/run/a', 'consul'], ['http:8080'], [], ['store']],
    read: ({ liveness }) => liveness,
  },
  metrics: {
    flag: 'influxdb',
    env: './own.ts',
    config: [],
    gives: [['influxdb'], ['./own.ts'], [], []],
    read: ({ metrics }) => metrics,
  },
}

for (const [name, { flag, env, config, gives, read, beside = {} }] of Object.entries(table)) {
  const variable = settingVariables[name as keyof typeof settingVariables]
  test(`${name}: the command line wins over ${variable}, that over the definition, that over the default`, async () => {
    const settle = async (flags: object, vars: object, own: object): Promise<unknown> => {
      const made = singleton({ name: 'a', run, ...beside, ...own })
      return read(await readSettings(made, { flags: { ...flags }, env: { ...vars } }))
    }
    const inFlag = { [name]: flag }
    const inEnv = { [variable]: env }
    const inConfig = { [name]: config }
    assert.deepEqual(
      [
        await settle(inFlag, inEnv, inConfig),
        await settle({}, inEnv, inConfig),
        await settle({}, { [variable]: '' }, inConfig),
        await settle({}, {}, {}),
      ],
      gives,
    )
  })
}

const own = singleton({
  name: 'a',
  options: {
    limit: { type: 'number', default: 10, env: 'REPORT_LIMIT' },
    every: { type: 'duration', required: true, env: 'REPORT_EVERY' },
    dryRun: { type: 'flag', env: 'REPORT_DRY' },
    region: { type: 'text', choices: ['eu', 'us'] },
  },
  check: z.object({
    limit: z.number().max(100),
    every: z.number(),
    dryRun: z.boolean(),
    region: z.string().optional(),
  }),
  run: ({ options }) => {
    const limit: number = options.limit
    return limit
  },
})

test("a singleton's own options are typed, come from the same sources, and are checked together", async () => {
  const read = async (flags: object, env: object): Promise<unknown> =>
    (await readSettings(own, { flags: { ...flags }, env: { ...env } })).options
  assert.deepEqual(await read({ every: '2s' }, {}), {
    limit: 10,
    every: 2_000,
    dryRun: false,
    region: undefined,
  })
  assert.deepEqual(
    await read(
      { limit: '5', dryRun: true, region: 'eu', every: '1m' },
      { REPORT_LIMIT: '7', REPORT_EVERY: '9s' },
    ),
    { limit: 5, every: 60_000, dryRun: true, region: 'eu' },
  )
  assert.deepEqual(await read({}, { REPORT_LIMIT: '7', REPORT_EVERY: '9s', REPORT_DRY: '1' }), {
    limit: 7,
    every: 9_000,
    dryRun: true,
    region: undefined,
  })
})

test('all that is wrong is told at once, and where it was said', async () => {
  const made = singleton({ name: 'a', run, ttl: '5s' })
  const flags = { every: 'soon', ttl: '-4s' }
  const env = { ERRAND_RUN_KEEP_LOCK: 'maybe', ERRAND_RUN_RELEASE_ON_ERROR: '1' }
  await assert.rejects(readSettings(made, { flags, env }), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'invalid-config')
    for (const part of ['--every', '--ttl', 'ERRAND_RUN_KEEP_LOCK', 'releaseOnError'])
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
    return true
  })
  await assert.rejects(
    readSettings(own, { flags: { limit: '500', every: '1s', region: 'eu' }, env: {} }),
    /--limit: .*100/,
  )
  await assert.rejects(
    readSettings(own, { flags: { limit: 'many', region: 'mars' }, env: {} }),
    /--limit must be a number.*--every or REPORT_EVERY is missing.*--region must be one of eu, us/s,
  )
})

test('the two paces together are refused from any source, and one wins over the other of a lower source', async () => {
  const both = { every: '1s', pause: '2s' }
  const variables = { ERRAND_RUN_EVERY: '1s', ERRAND_RUN_PAUSE: '2s' }
  const plain = singleton({ name: 'a', run })
  await assert.rejects(readSettings(plain, { flags: both, env: {} }), /--every and --pause exclude/)
  await assert.rejects(
    readSettings(plain, { flags: {}, env: variables }),
    /ERRAND_RUN_EVERY and ERRAND_RUN_PAUSE exclude/,
  )
  const made = singleton({ name: 'a', run, every: '1s', pause: '2s' })
  await assert.rejects(readSettings(made, { flags: {}, env: {} }), /every and pause exclude/)
  const { pace } = await readSettings(singleton({ name: 'a', run, every: '1s' }), {
    flags: {},
    env: { ERRAND_RUN_PAUSE: '2s' },
  })
  assert.deepEqual(pace, { kind: 'pause', ms: 2_000 })
})

test('a pace of nothing is refused, for it would spin', async () => {
  const made = singleton({ name: 'a', run })
  for (const flags of [{ every: '0' }, { pause: '0s' }])
    await assert.rejects(readSettings(made, { flags, env: {} }), /longer than nothing/)
})

test('a definition that cannot work is refused where it stands', () => {
  assert.throws(() => singleton({ name: '', run }), { code: 'invalid-option' })
  assert.throws(() => singleton({ name: 'a', run, evry: '1s' } as never), /Did you mean every/)
  assert.throws(() => singleton({ name: 'a' } as never), /needs run/)
  assert.throws(
    () => singleton({ name: 'a', run, options: { 'dry-run': { type: 'flag' } } }),
    /camelCase/,
  )
})

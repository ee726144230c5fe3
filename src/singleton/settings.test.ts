import assert from 'node:assert/strict'
import test from 'node:test'
import * as z from 'zod'
import type { OptionSpec } from './options.ts'
import { readSettings, settingVariables, type ReadSettings } from './settings.ts'
import { singleton } from './singleton.ts'

const run = (): void => {}

/** Each setting as each source says it, and what is read then. */
const table: Readonly<
  Record<
    keyof typeof settingVariables,
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
    env: '0',
    config: true,
    gives: ['once', 'every', 'once', 'every'],
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
  cron: {
    flag: '1 * * * *',
    env: '2 * * * *',
    config: '3 * * * *',
    gives: ['1 * * * *', '2 * * * *', '3 * * * *', null],
    read: ({ pace }) => (pace.kind === 'cron' && pace.when.kind === 'cron' ? pace.when.cron : null),
  },
  timezone: {
    flag: 'Europe/Prague',
    env: '+09:00',
    config: 'Asia/Tokyo',
    gives: ['Europe/Prague', '+09:00', 'Asia/Tokyo', 'UTC'],
    read: ({ pace }) =>
      pace.kind === 'cron' && pace.when.kind === 'cron' ? pace.when.timezone : null,
    beside: { cron: '0 3 * * *' },
  },
  keepLock: {
    flag: true,
    env: 'false',
    config: true,
    gives: [true, false, true, false],
    read: ({ keepLock }) => keepLock,
  },
  releaseOnError: {
    flag: true,
    env: '0',
    config: true,
    gives: [true, false, true, false],
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

const durations: Readonly<Record<string, (settings: ReadSettings) => unknown>> = {
  every: ({ pace }) => (pace.kind === 'every' ? pace.ms : null),
  pause: ({ pace }) => (pace.kind === 'pause' ? pace.ms : null),
  ttl: ({ ttlMs }) => ttlMs,
  grace: ({ graceMs }) => graceMs,
}
/** Texts, plain digits being milliseconds, and what they mean; null for those that are refused. */
const texts: Readonly<Record<string, number | null>> = {
  '1500': 1_500,
  '1500ms': 1_500,
  '1.5s': 1_500,
  '90 s': 90_000,
  '2m': 120_000,
  '1h': 3_600_000,
  '1 day': 86_400_000,
  soon: null,
  '5 parsecs': null,
  '-1s': null,
  '-5': null,
  s: null,
}
const numbers: readonly (readonly [number, number | null])[] = [
  [1_500, 1_500],
  [1_500.4, 1_500],
  [-1, null],
  [Number.NaN, null],
  [Infinity, null],
]

for (const [name, read] of Object.entries(durations)) {
  const variable = settingVariables[name as keyof typeof settingVariables]
  const settle = async (flags: object, env: object, config: object): Promise<unknown> => {
    const made = singleton({ name: 'a', run, ...config })
    return readSettings(made, { flags: { ...flags }, env: { ...env } }).then(
      read,
      (error: Error) => {
        assert.match(error.message, /must be a duration such as '30s'/)
        return null
      },
    )
  }
  test(`${name}: every form of a duration means the same from each source`, async () => {
    for (const [text, ms] of Object.entries(texts)) {
      assert.equal(await settle({ [name]: text }, {}, {}), ms, `--${name} ${text}`)
      assert.equal(await settle({}, { [variable]: text }, {}), ms, `${variable}=${text}`)
      // Text without a unit has no place in a definition: there a number does that.
      if (!/^-?\d+$/.test(text)) assert.equal(await settle({}, {}, { [name]: text }), ms, text)
    }
    for (const [number, ms] of numbers)
      assert.equal(await settle({}, {}, { [name]: number }), ms, String(number))
  })
}

/** A singleton's own options by type: what the command line, the environment and the default say, what is given then, and what is refused. */
const ownTypes: Readonly<
  Record<
    string,
    {
      readonly spec: OptionSpec
      readonly flag: string | boolean
      readonly env: string
      readonly gives: readonly [unknown, unknown, unknown, unknown]
      readonly refused: string | null
    }
  >
> = {
  text: {
    spec: { type: 'text', default: 'c' },
    flag: 'a',
    env: 'b',
    gives: ['a', 'b', 'c', undefined],
    refused: null,
  },
  'text of choices': {
    spec: { type: 'text', default: 'c', choices: ['a', 'b', 'c'] },
    flag: 'a',
    env: 'b',
    gives: ['a', 'b', 'c', undefined],
    refused: 'd',
  },
  number: {
    spec: { type: 'number', default: 3 },
    flag: '-1.5',
    env: '2e3',
    gives: [-1.5, 2_000, 3, undefined],
    refused: '3 apples',
  },
  duration: {
    spec: { type: 'duration', default: '3s' },
    flag: '1s',
    env: '2000',
    gives: [1_000, 2_000, 3_000, undefined],
    refused: '-1s',
  },
  flag: {
    spec: { type: 'flag', default: true },
    flag: true,
    env: 'false',
    gives: [true, false, true, false],
    refused: 'maybe',
  },
}

for (const [what, { spec, flag, env, gives, refused }] of Object.entries(ownTypes)) {
  test(`an own option, ${what}: the command line wins over the environment, that over the default, that over nothing`, async () => {
    const settle = async (used: OptionSpec, flags: object, vars: object): Promise<unknown> => {
      const made = singleton({ name: 'a', run, options: { own: { ...used, env: 'OWN' } } })
      const { options } = await readSettings(made, { flags: { ...flags }, env: { ...vars } })
      return (options as { readonly own: unknown }).own
    }
    const { default: _, ...bare } = spec
    assert.deepEqual(
      [
        await settle(spec, { own: flag }, { OWN: env }),
        await settle(spec, {}, { OWN: env }),
        await settle(spec, {}, { OWN: '' }),
        await settle(bare, {}, {}),
      ],
      gives,
    )
    if (refused === null) return
    await assert.rejects(settle(spec, {}, { OWN: refused }), /OWN must be/)
    if (typeof flag === 'string')
      await assert.rejects(settle(spec, { own: refused }, {}), /--own must be/)
  })
}

test('a word that is neither yes nor no is refused for each flag', async () => {
  for (const name of ['once', 'keepLock', 'releaseOnError'] as const) {
    const env = { [settingVariables[name]]: 'maybe' }
    const read = readSettings(singleton({ name: 'a', run }), { flags: {}, env })
    await assert.rejects(read, new RegExp(`${settingVariables[name]} must be 1, 0, true or false`))
  }
})

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

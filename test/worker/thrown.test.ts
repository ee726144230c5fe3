import assert from 'node:assert/strict'
import { createContext, runInContext } from 'node:vm'
import { test } from 'node:test'
import type { FailureReport } from '../../src/core/enqueue-options.ts'
import * as errorsOf from '../../src/core/errors.ts'
import * as instructions from '../../src/core/instructions.ts'
import { keptAttemptBytes, keptErrorBytes } from '../../src/core/kept-error.ts'
import { task } from '../../src/core/task.ts'
import { logEvents } from '../../src/observe/log.ts'
import { appOn, inMemory, newFile, onSqlite } from './harness.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

const benches = [
  ['memory', inMemory],
  ['sqlite', onSqlite],
] as const

function revokedProxy(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const refuse = (): never => {
  throw revokedProxy()
}

/** What no code outside the attempt may look at without care. */
const hostile: Record<string, () => unknown> = {
  revoked: revokedProxy,
  trapped: () =>
    new Proxy(new Error('inside'), { get: refuse, has: refuse, getPrototypeOf: refuse }),
  getters: () => Object.defineProperty(new Error('x'), 'message', { get: refuse }),
  conversions: () => ({ toJSON: refuse, toString: refuse }),
  vast: () => Object.assign(new Error('m'.repeat(5_000_000)), { code: 'c'.repeat(5_000_000) }),
}

for (const [name, bench] of benches) {
  test(`${name}: whatever is thrown ends its own attempt only, with a bounded record, and is told to all who listen`, async (t) => {
    const reports: FailureReport[] = []
    const told: string[] = []
    const alert = task({ name: 'alert', run: (report: FailureReport) => void reports.push(report) })
    const toss = task({
      name: 'toss',
      retry: 'never',
      onFailure: alert,
      run: async (which: string) => {
        // oxlint-disable-next-line typescript/only-throw-error -- that is the point
        throw hostile[which]?.()
      },
    })
    const plain = task({ name: 'plain', run: () => 'fine' })
    const made = bench(t, { tasks: [toss, plain, alert] })
    const { app, client, work, reach, until } = made
    const logging = (_fields: object, message: string): void => void told.push(message)
    logEvents(app.events, { debug: logging, info: logging, warn: logging, error: logging })
    await work()
    for (const which of Object.keys(hostile)) {
      const job = await reach((await client.enqueue(toss, which)).id, 'failed')
      assert.equal(job.reason, 'error')
      assert.ok(Buffer.byteLength(JSON.stringify(job.errors)) <= keptErrorBytes + 2)
      const gone = client.results.wait(job.id, { timeout: '5s' })
      await assert.rejects(gone, (error) => errorsOf.isErrandError(error, 'job-failed'))
    }
    await reach((await client.enqueue(plain, undefined)).id, 'completed')
    await until('the reports', () => reports.length === Object.keys(hostile).length)
    for (const { errors } of reports) assert.equal(errors.length, 1)
    const failures = told.filter((line) => line.includes('toss') && line.includes('failed'))
    assert.equal(failures.length, Object.keys(hostile).length)
    assert.deepEqual(made.told.warnings, [])
  })
}

test('a logger that cannot take what was thrown gets its message instead', async (t) => {
  const seen: { err: unknown; message: string }[] = []
  const toss = task({
    name: 'toss',
    retry: 'never',
    run: () => {
      // oxlint-disable-next-line typescript/only-throw-error -- that is the point
      throw revokedProxy()
    },
  })
  const { app, client, work, reach } = inMemory(t, { tasks: [toss] })
  const quiet = (): void => {}
  logEvents(app.events, {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (fields, message) => {
      const { err } = fields as { err: Error }
      // As loggers do that look at more than the message.
      const text: string = err.message
      seen.push({ err: text, message })
    },
  })
  await work()
  await reach((await client.enqueue(toss, undefined)).id, 'failed')
  assert.equal(seen.length, 1)
  assert.equal(seen[0]?.err, 'a value that cannot be shown')
  assert.match(seen[0]?.message ?? '', /^toss .* failed after .*: a value that cannot be shown$/)
})

test('a listener, a unique key and log fields that throw what throws reach nothing else', async (t) => {
  const follower = task({
    name: 'follower',
    unique: { key: refuse },
    run: (said: string) => said,
  })
  const say = task({
    name: 'say',
    onSuccess: follower,
    run: (_: undefined, job) => {
      job.log.info('with fields', { toJSON: refuse })
      job.log.info(revokedProxy() as string)
      return 'said'
    },
  })
  const { app, client, jobs, work, reach, told, until } = inMemory(t, { tasks: [say, follower] })
  app.events.on('run-started', refuse)
  await work()
  const { id } = await reach((await client.enqueue(say, undefined)).id, 'completed')
  const lines = (await jobs.logs(id)).map(({ text }) => text)
  assert.equal(lines.length, 2)
  assert.match(lines[0] ?? '', /^with fields \(.+\)$/)
  assert.equal(lines[1], 'a value that cannot be shown')
  await until(
    'the follow-up',
    async () => (await jobs.list({ task: 'follower', state: 'completed' })).jobs.length === 1,
  )
  const codes = told.warnings.map(({ code }) => code)
  assert.ok(codes.includes('listener-failed') && codes.includes('follow-up-options'), codes.join())
})

test('instructions and errors of another copy of the package are understood', async (t) => {
  // A module under another URL is another module, as that of a second copy is.
  const another = async <Module>(path: string): Promise<Module> =>
    (await import(`${path}?copy`)) as Module
  const { Discard, Postpone, RetryAfter, Unrecoverable } = await another<typeof instructions>(
    '../../src/core/instructions.ts',
  )
  const { ErrandError } = await another<typeof errorsOf>('../../src/core/errors.ts')
  assert.notEqual(instructions.Discard, Discard)
  const thrown: Record<string, () => Error> = {
    discard: () => new Discard('not needed'),
    postpone: () => new Postpone('1h'),
    unrecoverable: () => new Unrecoverable('no use'),
    later: () => new RetryAfter('2h'),
  }
  const toss = task({
    name: 'toss',
    run: (which: string) => {
      throw thrown[which]?.() ?? new Error('none')
    },
  })
  const { client, jobs, work, reach, store } = inMemory(t, { tasks: [toss] })
  await work()
  const discarded = await reach((await client.enqueue(toss, 'discard')).id, 'discarded')
  assert.equal(discarded.reason, 'not needed')
  const failed = await reach((await client.enqueue(toss, 'unrecoverable')).id, 'failed')
  assert.equal(failed.failures, 1)
  const due = async (which: string): Promise<readonly number[]> => {
    const at = store.clock.now()
    const { id } = await client.enqueue(toss, which)
    await reach(id, 'scheduled')
    const job = await jobs.get(id)
    return [Math.round(((job?.dueAt.getTime() ?? 0) - at) / 3_600_000), job?.postpones ?? -1]
  }
  assert.deepEqual(
    [await due('postpone'), await due('later')],
    [
      [1, 1],
      [2, 0],
    ],
  )
  assert.ok(errorsOf.isErrandError(new ErrandError('closed', 'of the other copy'), 'closed'))
})

test('an instruction of another realm class, or with a delay that is none, is an ordinary error', async (t) => {
  const odd: unknown = runInContext(
    'Object.assign(new Error("odd"), { name: "RetryAfter", delayMs: -1 })',
    createContext(),
  )
  const toss = task({
    name: 'toss',
    retry: 'never',
    run: () => {
      // oxlint-disable-next-line typescript/only-throw-error -- that is the point
      throw odd
    },
  })
  const { client, work, reach } = inMemory(t, { tasks: [toss] })
  await work()
  const job = await reach((await client.enqueue(toss, undefined)).id, 'failed')
  assert.deepEqual([job.errors[0]?.type, job.errors[0]?.message], ['RetryAfter', 'odd'])
})

test('a reason of a discard is kept in bounds, and an error stays so when a codec makes it longer', async (t) => {
  const wide = {
    name: 'wide',
    encode: (text: string) => Buffer.from(text).toString('hex'),
    decode: (text: string) => Buffer.from(text, 'hex').toString(),
  }
  const toss = task({
    name: 'toss',
    retry: 'never',
    codec: wide,
    run: (how: string) => {
      throw how === 'discard'
        ? new instructions.Discard('half \ud83d'.repeat(1_000_000))
        : new Error('x'.repeat(9_000))
    },
  })
  const { client, store, work, reach } = appOn(t, sqlite(newFile(t)), { tasks: [toss] })
  await work()
  const { reason } = await reach((await client.enqueue(toss, 'discard')).id, 'discarded')
  assert.ok(reason !== null && Buffer.byteLength(reason) <= 1_000 && reason.isWellFormed())
  assert.match(reason, /^half �half /)
  const { id, errors } = await reach((await client.enqueue(toss, 'fail')).id, 'failed')
  const [stored] = (await store.get([id]))[0]?.attempts ?? []
  assert.ok(stored !== undefined && Buffer.byteLength(stored) <= keptAttemptBytes)
  assert.match(errors[0]?.message ?? '', /^x+… /)
  assert.match(errors[0]?.stack ?? '', /thrown\.test/)
})

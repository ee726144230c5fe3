import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { longestMs } from '../core/duration.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { isJobId } from '../core/id.ts'
import { task } from '../core/task.ts'
import { createErrand, type Errand } from '../errand.ts'
import type { InsertOptions } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import { memory } from '../stores/memory/index.ts'
import { claimByHand, spying } from '../testing/by-hand.ts'
import { requeue } from '../testing/conformance/jobs.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import type { ErrandConfig } from '../app/app.ts'

const resize = task({
  name: 'images.resize',
  input: z.object({ path: z.string(), size: z.object({ width: z.int().positive() }) }),
  queue: 'images',
})
const mail = task<{ to?: string; cc?: string; at?: unknown }>({ name: 'mail' })
const plain = task<unknown>({ name: 'plain' })
const good = { path: 'a.png', size: { width: 3 } }

function app(config: Partial<ErrandConfig<unknown>> = {}): Errand {
  return createErrand({ store: memory(), tasks: [resize, mail, plain], ...config })
}

/** An app that keeps the batches which it inserts. */
function watched(store: Store = memory()): {
  readonly errand: Errand
  readonly batches: (readonly NewJob[])[]
} {
  const batches: (readonly NewJob[])[] = []
  const errand = app({
    store: spying(store, (call, [jobs]) => {
      if (call === 'insert') batches.push(jobs as readonly NewJob[])
    }),
  })
  return { errand, batches }
}

async function storedNothing(errand: Errand): Promise<void> {
  assert.deepEqual(await errand.jobs.counts(), [])
}

describe('enqueue', () => {
  it('answers the id of a job that is stored when it resolves', async () => {
    const errand = app()
    const job = await errand.enqueue(resize, good)
    assert.equal(job.inserted, 'created')
    const record = await errand.jobs.get(job.id)
    assert.equal(record?.task, 'images.resize')
    assert.equal(record.queue, 'images')
    assert.equal(record.state, 'ready')
    assert.deepEqual(record.input, good)
  })

  it('a hundred calls at once are few inserts', async () => {
    const { errand, batches } = watched()
    await Promise.all(Array.from({ length: 100 }, () => errand.enqueue(resize, good)))
    assert.ok(batches.length <= 2, `${batches.length} inserts`)
  })

  it('a job that the store refuses harms none of its neighbours', async () => {
    const store = spying(memory(), (call, [jobs]) => {
      if (call !== 'insert') return
      if ((jobs as readonly NewJob[]).some(({ input }) => input.includes('poison')))
        throw new Error('no')
    })
    const errand = app({ store })
    const inputs = Array.from({ length: 64 }, (_, i) => (i === 40 ? 'poison' : `${i}`))
    const settled = await Promise.allSettled(inputs.map((to) => errand.enqueue(mail, { to })))
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, 1)
    assert.equal(settled[40]?.status, 'rejected')
    assert.deepEqual(await errand.jobs.counts(), [{ queue: 'default', state: 'ready', count: 63 }])
  })

  it('stores the input as it was given, not as the schema parses it', async () => {
    const parsing = task({
      name: 'parsing',
      input: z.object({ n: z.string().transform(Number), d: z.number().default(4) }),
    })
    const errand = app({ tasks: [parsing] })
    const { id } = await errand.enqueue(parsing, { n: '12' })
    assert.deepEqual((await errand.jobs.get(id))?.input, { n: '12' })
  })

  it('refuses an input that does not fit, with its path and the reason, and stores nothing', async () => {
    const errand = app()
    await assert.rejects(errand.enqueue(resize, { path: 'a', size: { width: -1 } }), (error) => {
      assert.ok(isErrandError(error, 'invalid-input'))
      assert.match(error.message, /size\.width: /)
      assert.equal((error.details['issues'] as { path: string }[])[0]?.path, 'size.width')
      return true
    })
    await storedNothing(errand)
  })

  it('awaits a schema that answers later', async () => {
    const later = task({ name: 'later', input: z.string().refine(async (text) => text === 'yes') })
    const errand = app({ tasks: [later] })
    await assert.rejects(errand.enqueue(later, 'no'), { code: 'invalid-input' })
    assert.equal((await errand.enqueue(later, 'yes')).inserted, 'created')
  })

  it('refuses what JSON cannot hold, with its path', async () => {
    const errand = app()
    for (const [at, path] of [
      [new Map(), '.at'],
      [{ deep: [1, 2n] }, '.at.deep[1]'],
      [Number.NaN, '.at'],
    ] as const) {
      await assert.rejects(errand.enqueue(mail, { at }), (error) => {
        assert.ok(isErrandError(error, 'not-json'))
        assert.equal(error.details['path'], path)
        return true
      })
    }
    await storedNothing(errand)
  })

  it('warns above 256 KiB and refuses above 1 MiB, counted in bytes', async () => {
    const errand = app()
    const warnings: string[] = []
    errand.on('warning', ({ code }) => warnings.push(code))
    await errand.enqueue(plain, 'x'.repeat(256 * 1024 - 2))
    assert.deepEqual(warnings, [])
    await errand.enqueue(plain, 'x'.repeat(256 * 1024))
    assert.deepEqual(warnings, ['large-payload'])
    await assert.rejects(errand.enqueue(plain, 'ä'.repeat(600 * 1024)), { code: 'too-large' })
    await errand.enqueue(plain, 'x'.repeat(1024 * 1024 - 2))
    await assert.rejects(errand.enqueue(plain, 'x'.repeat(1024 * 1024)), { code: 'too-large' })
  })

  it('refuses an unknown queue and names the nearest', async () => {
    const errand = app({ queues: { reports: {} } })
    await assert.rejects(errand.enqueue(mail, {}, { queue: 'image' }), {
      code: 'unknown-queue',
      message: /Did you mean images\?/,
    })
    await assert.rejects(errand.enqueue(mail, {}, { queue: 'report' }), {
      code: 'unknown-queue',
      message: /Did you mean reports\?/,
    })
    await storedNothing(errand)
    assert.equal((await errand.enqueue(mail, {}, { queue: 'images' })).inserted, 'created')
    const open = app({ queues: { '*': {} } })
    assert.equal((await open.enqueue(mail, {}, { queue: 'anything' })).inserted, 'created')
  })

  it('takes a task that the app does not list, with its own queue', async () => {
    const foreign = task({ name: 'foreign', queue: 'elsewhere' })
    const errand = app({ tasks: [] })
    const { id } = await errand.enqueue(foreign)
    assert.equal((await errand.jobs.get(id))?.queue, 'elsewhere')
  })

  it('refuses unknown options and names the nearest', async () => {
    const errand = app()
    const refused = [
      [{ delai: 1 }, /delay/],
      [{ retry: { limits: 3 } }, /limit/],
      [{ unique: { keys: 'a' } }, /key/],
      [{ timeOut: '1s' }, /timeout/],
    ] as const
    for (const [options, hint] of refused) {
      await assert.rejects(errand.enqueue(mail, {}, options as object), {
        code: 'invalid-option',
        message: hint,
      })
    }
    assert.throws(() => app({ quues: {} } as object), {
      code: 'invalid-option',
      message: /Did you mean queues\?/,
    })
    assert.throws(() => app({ queues: { a: { slot: 1 } as object } }), {
      code: 'invalid-option',
      message: /Did you mean slots\?/,
    })
    await storedNothing(errand)
  })

  it('refuses options that cannot be', async () => {
    const errand = app()
    const refused: object[] = [
      { delay: '1s', runAt: new Date() },
      { runAt: new Date(Number.NaN) },
      { runAt: new Date(8.64e15) },
      { runAt: new Date(-8.64e15) },
      { runAt: new Date(Date.now() + longestMs + 60_000) },
      { runAt: new Date(Date.now() - longestMs - 60_000) },
      { delay: longestMs + 1 },
      { delay: '300000y' },
      { unique: { for: 2 ** 53 } },
      { retention: { cancelled: '101y' } },
      { delay: 'soon' },
      { delay: -1 },
      { priority: 1001 },
      { priority: 0.5 },
      { queue: '' },
      { retry: { when: () => true } },
      { retry: { backoff: () => 5 } },
      { unique: { key: '' } },
      { unique: { during: ['waiting'] } },
    ]
    for (const options of refused)
      await assert.rejects(errand.enqueue(mail, {}, options), { code: 'invalid-option' })
    await storedNothing(errand)
  })

  it('takes times up to 100 years from now', async () => {
    const clock = new VirtualClock()
    const errand = createErrand({ store: memory({ clock }) })
    const far = await errand.enqueue(mail, {}, { delay: '100y', startWithin: '100y' })
    const past = await errand.enqueue(mail, {}, { runAt: new Date(clock.now() - longestMs) })
    const next = await errand.enqueue(mail, {}, { runAt: new Date(clock.now() + longestMs) })
    const records = await Promise.all([far, past, next].map(({ id }) => errand.jobs.get(id)))
    assert.deepEqual(
      records.map((record) => [record?.state, (record?.dueAt.getTime() ?? 0) - clock.now()]),
      [
        ['scheduled', longestMs],
        ['ready', -longestMs],
        ['scheduled', longestMs],
      ],
    )
  })

  it('a delay counts from the store’s time and runAt is absolute', async () => {
    const clock = new VirtualClock()
    const errand = app({ store: memory({ clock }) })
    const runAt = new Date(clock.now() + 90_000)
    const delayed = await errand.enqueue(mail, {}, { delay: '10s' })
    const planned = await errand.enqueue(mail, {}, { runAt })
    assert.equal((await errand.jobs.get(delayed.id))?.dueAt.getTime(), clock.now() + 10_000)
    assert.deepEqual((await errand.jobs.get(planned.id))?.dueAt, runAt)
    assert.equal((await errand.jobs.get(planned.id))?.state, 'scheduled')
  })

  it('resolves options call over task over queue over app over default', async () => {
    const withOwn = task({ name: 'with-own', queue: 'q', priority: 2 })
    const bare = task({ name: 'bare', queue: 'q' })
    const store = memory()
    const full = createErrand({ store, priority: 4, queues: { q: { priority: 3 } } })
    const none = createErrand({ store, queues: { '*': {} } })
    const priorityOf = async (
      errand: Errand,
      of: typeof bare,
      options?: object,
    ): Promise<number | undefined> => {
      const { id } = await errand.enqueue(of, undefined, options)
      return (await errand.jobs.get(id))?.priority
    }
    assert.equal(await priorityOf(full, withOwn, { priority: 1 }), 1)
    assert.equal(await priorityOf(full, withOwn), 2)
    assert.equal(await priorityOf(full, bare), 3)
    assert.equal(await priorityOf(full, bare, { queue: 'default' }), 4)
    assert.equal(await priorityOf(none, bare), 0)
  })

  it('keeps the options of the call with the job, and only those', async () => {
    const store = memory()
    const errand = app({ store })
    const { id } = await errand.enqueue(
      mail,
      {},
      { retry: { limit: 2 }, timeout: '5s', onSuccess: [resize, 'other'], delay: 5 },
    )
    const bare = await errand.enqueue(mail, {})
    const [first, second] = await store.get([id, bare.id])
    assert.deepEqual(JSON.parse(first?.options ?? ''), {
      layer: { retryLimit: 2, timeoutMs: 5_000 },
      onSuccess: ['images.resize', 'other'],
    })
    assert.equal(second?.options, null)
  })

  it('refuses a transaction where the store has none, and stores nothing', async () => {
    const errand = app()
    await assert.rejects(errand.enqueue(mail, {}, { tx: {} }), { code: 'tx-unsupported' })
    await assert.rejects(errand.enqueueMany([[mail, {}]], { tx: {} }), { code: 'tx-unsupported' })
    await storedNothing(errand)
  })

  it('calls with a transaction are inserted alone, with it', async () => {
    const seen: (readonly [number, unknown])[] = []
    const inner = memory()
    const store = {
      ...inner,
      insert: (jobs: readonly NewJob[], options?: InsertOptions) => {
        seen.push([jobs.length, options?.tx])
        return inner.insert(jobs)
      },
    }
    const errand = app({ store })
    await Promise.all([
      errand.enqueue(mail, {}, { tx: 'a' }),
      errand.enqueue(mail, {}),
      errand.enqueue(mail, {}),
      errand.enqueue(mail, {}, { tx: 'b' }),
    ])
    assert.deepEqual(
      seen.toSorted(([, a], [, b]) => String(a).localeCompare(String(b))),
      [
        [1, 'a'],
        [1, 'b'],
        [2, undefined],
      ],
    )
  })
})

describe('unique jobs', () => {
  it('unique true takes inputs that differ only in the order of their keys for equal', async () => {
    const errand = app()
    const first = await errand.enqueue(mail, { to: 'a', cc: 'b' }, { unique: true })
    const second = await errand.enqueue(mail, { cc: 'b', to: 'a' }, { unique: true })
    const third = await errand.enqueue(mail, { to: 'a' }, { unique: true })
    assert.equal(first.inserted, 'created')
    assert.deepEqual([second.id, second.inserted], [first.id, 'duplicate'])
    assert.equal(third.inserted, 'created')
  })

  it('replace gives the waiting job the new input and keeps its id', async () => {
    const errand = app()
    const unique = { key: 'one', onConflict: 'replace' } as const
    const first = await errand.enqueue(mail, { to: 'a' }, { unique })
    const second = await errand.enqueue(mail, { to: 'b' }, { unique, priority: 7 })
    assert.deepEqual([second.id, second.inserted], [first.id, 'replaced'])
    const record = await errand.jobs.get(first.id)
    assert.deepEqual([record?.input, record?.priority], [{ to: 'b' }, 7])
  })

  it('a job that runs, and one that waits for its retry, stand for their input; one that is to replace is not dropped', async () => {
    const store = memory()
    const errand = app({ store })
    for (const [unique, whileItRuns] of [
      [true, 'duplicate'],
      [{ key: 'k' }, 'duplicate'],
      [{ key: 'r', onConflict: 'replace' }, 'created'],
    ] as const) {
      const { id } = await errand.enqueue(plain, 1, { unique })
      const [job] = await claimByHand(store)
      assert.equal((await errand.enqueue(plain, 1, { unique })).inserted, whileItRuns)
      await store.settle([requeue(job!, { delayMs: 60_000 })])
      const held = (await errand.enqueue(plain, 1, { unique })).inserted
      assert.equal(held, whileItRuns === 'created' ? 'replaced' : 'duplicate')
      await errand.jobs.remove(id)
      await errand.jobs.remove({ state: 'ready' })
    }
  })

  it('maxWait bounds how long a job is put off by those that replace it', async () => {
    const clock = new VirtualClock()
    const errand = app({ store: memory({ clock }) })
    const unique = { key: 'one', onConflict: 'replace', maxWait: '25s' } as const
    const first = clock.now()
    let id = ''
    for (let n = 0; n < 3; n += 1) {
      const job = await errand.enqueue(plain, n, { unique, delay: '10s' })
      id = job.id
      await clock.advance(9_000)
    }
    assert.deepEqual((await errand.jobs.get(id))?.dueAt, new Date(first + 25_000))
  })

  it('a task that was renamed meets the keys of its old name, whoever enqueues', async () => {
    const store = memory()
    const before = task({ name: 'resize', unique: true, run: (_: number) => 1 })
    const now = task({
      name: 'images.resize',
      aliases: ['resize', 'size'],
      unique: true,
      run: (_: number) => 1,
    })
    const [old, fresh] = [before, now].map((one) => createErrand({ store, tasks: [one] }))
    const { id } = await old!.enqueue(before, 1)
    assert.deepEqual((await fresh!.enqueue(now, 1)).id, id)
    const second = await fresh!.enqueue(now, 2)
    assert.equal(second.inserted, 'created')
    assert.deepEqual((await old!.enqueue(before, 2)).id, second.id)
  })

  it('keys of different tasks never meet, and a call can say that its job is not unique', async () => {
    const keyed = task({
      name: 'keyed',
      unique: { key: (input: { k: string }) => input.k },
      run: (input: { k: string }) => input.k,
    })
    const errand = app({ tasks: [keyed, mail] })
    await errand.enqueue(keyed, { k: 'x' })
    assert.equal((await errand.enqueue(keyed, { k: 'x' })).inserted, 'duplicate')
    assert.equal((await errand.enqueue(mail, {}, { unique: { key: 'x' } })).inserted, 'created')
    assert.equal((await errand.enqueue(keyed, { k: 'x' }, { unique: false })).inserted, 'created')
  })

  it('a queue can make its jobs unique', async () => {
    const errand = app({ queues: { default: { unique: true } } })
    await errand.enqueue(mail, { to: 'a' })
    assert.equal((await errand.enqueue(mail, { to: 'a' })).inserted, 'duplicate')
  })
})

describe('enqueueMany', () => {
  it('answers in the order of the entries, over batches of 1,000', async () => {
    const { errand, batches } = watched()
    const entries = Array.from({ length: 2_300 }, (_, i) => [mail, { to: `${i}` }] as const)
    const jobs = await errand.enqueueMany(entries)
    assert.deepEqual(
      batches.map((batch) => batch.length),
      [1_000, 1_000, 300],
    )
    for (const i of [0, 999, 1_000, 2_299]) {
      assert.deepEqual((await errand.jobs.get(jobs[i]!.id))?.input, { to: `${i}` })
    }
  })

  it('stores nothing when one entry is bad, and tells which', async () => {
    const errand = app()
    const bad = { path: 'a', size: { width: 'wide' as unknown as number } }
    await assert.rejects(
      errand.enqueueMany([
        [resize, good],
        [resize, bad],
        [resize, good],
      ]),
      {
        code: 'invalid-input',
        message: /entry 1: .*size\.width/,
      },
    )
    await assert.rejects(errand.enqueueMany([[resize, good, { tx: 1 } as object]]), {
      code: 'invalid-option',
    })
    await storedNothing(errand)
  })

  it('takes options for each entry', async () => {
    const errand = app()
    const [, late] = await errand.enqueueMany([
      [resize, good],
      [resize, good, { delay: '1h', priority: 3 }],
    ])
    const record = await errand.jobs.get(late.id)
    assert.deepEqual([record?.state, record?.priority], ['scheduled', 3])
  })

  it('tells how many jobs are stored when a later batch fails', async () => {
    let calls = 0
    const store = spying(memory(), (call) => {
      if (call === 'insert' && ++calls === 2) throw new ErrandError('store-unavailable', 'Down.')
    })
    const errand = app({ store })
    await assert.rejects(
      errand.enqueueMany(Array.from({ length: 1_500 }, () => [plain, 1] as const)),
      (error) => {
        assert.ok(isErrandError(error, 'store-unavailable'))
        assert.equal(error.details['stored'], 1_000)
        return true
      },
    )
    assert.deepEqual(await errand.jobs.counts(), [
      { queue: 'default', state: 'ready', count: 1_000 },
    ])
  })
})

describe('a store that hangs', () => {
  it('is given up after a minute, with the id of each job that it may have stored', async () => {
    const clock = new VirtualClock()
    const inner = memory({ clock })
    let hangs = true
    const store: Store = {
      ...inner,
      insert: (jobs) => (hangs ? new Promise(() => undefined) : inner.insert(jobs)),
    }
    const errand = app({ store })
    const refused = assert.rejects(errand.enqueue(plain, 1), (error) => {
      assert.ok(isErrandError(error, 'unknown-outcome'))
      assert.ok(isJobId(String(error.details['id'])))
      return true
    })
    await new Promise(setImmediate)
    await clock.advance(60_000)
    await refused
    hangs = false
    assert.equal((await errand.enqueue(plain, 1)).inserted, 'created')
  })
})

describe('an app that is closed', () => {
  it('refuses every call', async () => {
    const errand = app()
    await errand.close()
    await errand.close()
    const calls = [
      () => errand.enqueue(mail, {}),
      () => errand.enqueueMany([[mail, {}]]),
      () => errand.jobs.get('x'),
      () => errand.jobs.list(),
      () => errand.jobs.result('x'),
      () => errand.jobs.cancel({}),
      () => errand.queues.list(),
      () => errand.queues.pause('a'),
      () => errand.workers.list(),
      () => errand.tasks.list(),
    ]
    for (const call of calls) await assert.rejects(call(), { code: 'closed' }, String(call))
  })

  it('has stored what was under way', async () => {
    const inner = memory()
    const errand = app({ store: { ...inner, close: async () => undefined } })
    const pending = Array.from({ length: 10 }, () => errand.enqueue(plain, 1))
    await errand.close()
    await Promise.all(pending)
    assert.deepEqual(await inner.counts(), [{ queue: 'default', state: 'ready', count: 10 }])
  })
})

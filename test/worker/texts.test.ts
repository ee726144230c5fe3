import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createQueues } from '../../src/client/queues.ts'
import type { EnqueueOptions } from '../../src/core/enqueue-options.ts'
import { Discard } from '../../src/core/instructions.ts'
import { task } from '../../src/core/task.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { singleton } from '../../src/singleton/singleton.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { findPostgres, query } from '../postgres-server.ts'
import { faulty, type Faulty } from './faulty.ts'
import { appOn, gate, newFile, onSqlite } from './harness.ts'

/** Texts that not every store can keep. */
const noTexts = { 'half of an emoji': 'great 👍'.slice(0, 7), NUL: 'a\0b' } as const
const cleaned = { 'half of an emoji': 'great �', NUL: 'a␀b' } as const

const server = await findPostgres()
if (server !== null) test.after(() => server.stop())

for (const name of ['memory', 'sqlite', ...(server === null ? [] : ['postgres'])]) {
  test(`${name}: log lines, reasons and errors with half an emoji or NUL are kept visibly, and silence nobody`, async (t) => {
    const schema = `texts_${process.pid}`
    const store =
      name === 'memory'
        ? memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
        : name === 'sqlite'
          ? sqlite(newFile(t))
          : postgres(server?.url ?? '', { schema })
    const open = gate()
    const say = task({
      name: 'say',
      retry: 'never',
      run: async ({ text, end }: { text: string; end: string }, job) => {
        job.log.info(text, { text })
        job.progress({ text })
        await open.promise
        if (end === 'throw') throw new Error(text)
        if (end === 'discard') throw new Discard(text)
        return text
      },
    })
    const { client, jobs, work, reach, until, told } = appOn(t, store, { tasks: [say] })
    await work()
    for (const what of ['half of an emoji', 'NUL'] as const) {
      const text = noTexts[what]
      const given = ['return', 'throw', 'discard'].map((end) => ({ text, end }))
      const [done, thrown, discarded] = await client.enqueueMany(
        given.map((input) => [say, input] as const),
      )
      const ids = [done?.id ?? '', thrown?.id ?? '', discarded?.id ?? ''] as const
      const linesOf = async (id: string): Promise<readonly string[]> =>
        (await jobs.logs(id)).map((line) => line.text)
      await until('the lines', async () => (await linesOf(ids[2])).length === 1)
      open.resolve()
      const output = (await reach(ids[0], 'completed')).output
      // JSON keeps any text, by its escapes.
      assert.equal(output, text)
      const failed = await reach(ids[1], 'failed')
      assert.deepEqual([failed.errors[0]?.message, failed.progress], [cleaned[what], { text }])
      assert.equal((await reach(ids[2], 'discarded')).reason, cleaned[what])
      for (const id of ids)
        assert.deepEqual(await linesOf(id), [`${cleaned[what]} ${JSON.stringify({ text })}`])
      const { id } = await client.enqueue(say, { text, end: 'return' }, { delay: '1h' })
      await jobs.cancel(id, { reason: text })
      assert.equal((await jobs.get(id))?.reason, cleaned[what])
    }
    const warned = told.warnings.filter(({ code }) => code !== 'store-at-risk')
    assert.deepEqual([told.failed, warned], [[], []])
    if (name === 'postgres')
      t.after(() => query(server?.url ?? '', `DROP SCHEMA IF EXISTS ${schema} CASCADE`))
  })
}

for (const [what, bad] of [...Object.entries(noTexts), ['a line break', 'a\nb']] as const) {
  test(`names and keys with ${what} are refused by name, at every door`, async (t) => {
    const plain = task({ name: 'plain', run: () => undefined })
    const { client, jobs, worker } = onSqlite(t, { tasks: [plain], queues: { '*': {} } })
    const codec = { name: bad, encode: (text: string) => text, decode: (text: string) => text }
    for (const define of [
      () => task({ name: bad }),
      () => task({ name: 'a', aliases: [bad] }),
      () => task({ name: 'a', onSuccess: bad }),
      () => task({ name: 'a' }).onFailure(bad),
    ])
      assert.throws(define, { code: 'invalid-task' })
    for (const configure of [
      () => task({ name: 'a', queue: bad }),
      () => task({ name: 'a', codec }),
      () => onSqlite(t, { queues: { [bad]: {} } }),
      () => onSqlite(t, { codec }),
      () => worker({ queues: [bad] }),
      () => singleton({ name: bad, run: async () => {} }),
    ])
      assert.throws(configure, { code: 'invalid-option' })
    const given: readonly EnqueueOptions[] = [
      { queue: bad },
      { unique: { key: bad } },
      { unique: { key: `${'x'.repeat(300)}${bad}` } },
      { unique: { key: () => bad } },
      { onSuccess: bad },
      { onFailure: [plain, bad] },
    ]
    for (const options of given)
      await assert.rejects(client.enqueue(plain, undefined, options), { code: 'invalid-option' })
    const queues = createQueues(client, jobs)
    for (const ask of [
      () => queues.pause('a', bad),
      () => queues.resume(bad),
      () => jobs.get(bad),
      () => jobs.cancel([bad]),
      () => jobs.list({ task: bad }),
      () => jobs.list({ queue: bad }),
      () => jobs.list({ key: bad }),
    ])
      await assert.rejects(ask, { code: 'invalid-option' })
    assert.deepEqual((await jobs.list()).jobs, [])
  })
}

test('what a codec gives must be text that every store can keep', async (t) => {
  const codec = { name: 'raw', encode: () => '\ud83d', decode: (text: string) => text }
  const plain = task({ name: 'plain', codec, run: () => undefined })
  const { client } = onSqlite(t, { tasks: [plain] })
  await assert.rejects(client.enqueue(plain, undefined), { code: 'not-json' })
})

/** A store that takes no call with a note that holds this text, as one of a kind that no one knew might. */
function refusing(poison: string, error: Error): Faulty {
  const one = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  one.fault = (call, [notes]) =>
    call === 'note' && JSON.stringify(notes).includes(poison) ? error : null
  return one
}

test('a note that the store refuses is dropped alone, with a warning, and those beside it are written once', async (t) => {
  const { store } = refusing('poison', new Error('invalid byte sequence'))
  const open = gate()
  const say = task({
    name: 'say',
    run: async (text: string, job) => {
      job.log.info(text)
      job.log.info(`${text} again`)
      job.progress(1)
      await open.promise
    },
  })
  const { client, jobs, work, pass, told, reach } = appOn(t, store, { tasks: [say] })
  await work()
  const texts = ['a', 'b', 'poison', 'c', 'd']
  const enqueued = await client.enqueueMany(texts.map((text) => [say, text] as const))
  await pass(1_000)
  for (const [n, { id }] of enqueued.entries()) {
    const lines = (await jobs.logs(id)).map(({ text }) => text)
    assert.deepEqual(lines, texts[n] === 'poison' ? [] : [texts[n], `${texts[n]} again`])
    assert.equal((await jobs.get(id))?.progress, 1)
  }
  assert.deepEqual(
    told.warnings.map(({ code }) => code),
    ['note-refused', 'note-refused'],
  )
  assert.deepEqual(told.failed, [])
  open.resolve()
  for (const { id } of enqueued) await reach(id, 'completed')
})

test('a store that refuses all notes is not asked about each, and jobs go on', async (t) => {
  const one = refusing('"kind"', new Error('permission denied'))
  const say = task({
    name: 'say',
    run: (_: undefined, job) => {
      for (let n = 0; n < 500; n++) job.log.info(`line ${n}`)
    },
  })
  const { client, work, told, reach } = appOn(t, one.store, { tasks: [say] })
  await work()
  await reach((await client.enqueue(say, undefined)).id, 'completed')
  assert.ok((one.calls.get('note') ?? 0) < 100, `${one.calls.get('note')} calls`)
  assert.ok(told.warnings.length <= 10 && told.failed.length > 0)
})

test('large notes go in calls of bounded size', async (t) => {
  const one = faulty(memory({ clock: new VirtualClock(), database: new MemoryDatabase() }))
  const sizes: number[] = []
  one.fault = (call, [notes]) => {
    if (call === 'note') sizes.push(JSON.stringify(notes).length)
    return null
  }
  const say = task({
    name: 'say',
    run: (n: number, job) => job.progress(`${n}${'x'.repeat(900_000)}`),
  })
  const { client, jobs, work, reach } = appOn(t, one.store, { tasks: [say] })
  await work()
  const enqueued = await client.enqueueMany(Array.from({ length: 20 }, (_, n) => [say, n] as const))
  for (const { id } of enqueued) await reach(id, 'completed')
  const records = await Promise.all(enqueued.map(({ id }) => jobs.get(id)))
  assert.ok(records.every((record) => record?.progress !== undefined))
  assert.ok(Math.max(...sizes) < 5_000_000, sizes.join())
})

test('a long log line is cut between characters', async (t) => {
  const say = task({
    name: 'say',
    run: (_: undefined, job) => job.log.info(`${'x'.repeat(9_000)}${'😀'.repeat(5_000)}`),
  })
  const { client, jobs, work, reach } = onSqlite(t, { tasks: [say] })
  await work()
  const { id } = await reach((await client.enqueue(say, undefined)).id, 'completed')
  const [line] = await jobs.logs(id)
  assert.match(line?.text ?? '', /^x+(😀)+… \(\d+ more characters\)$/u)
  assert.ok(Buffer.byteLength(line?.text ?? '') <= 10_000)
})

test('a reason of a cancel is a text, and bounded', async (t) => {
  const plain = task({ name: 'plain', run: () => undefined })
  const { client, jobs } = onSqlite(t, { tasks: [plain] })
  const { id } = await client.enqueue(plain, undefined, { delay: '1h' })
  await assert.rejects(jobs.cancel(id, { reason: 5 as never }), { code: 'invalid-option' })
  await jobs.cancel(id, { reason: 'x'.repeat(5_000_000) })
  const { reason } = (await jobs.get(id)) ?? {}
  assert.match(reason ?? '', /^x+… /)
  assert.ok(Buffer.byteLength(reason ?? '') <= 1_000)
})

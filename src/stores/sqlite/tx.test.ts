/** Calls inside the user's own transaction. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import { isErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

test('a job is there if the transaction is committed, together with what else it wrote', async (t) => {
  const { store, own } = await shared(t)
  await store.setup()
  const job = newJob()
  own.exec('BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)')
  assert.deepEqual(await store.insert([job], { tx: own }), [
    { id: job.id, status: 'created', token: null },
  ])
  assert.equal(own.isTransaction, true)
  assert.deepEqual(await store.get([job.id]), [null])
  own.exec('COMMIT')
  assert.equal((await store.get([job.id]))[0]?.state, 'ready')
  assert.deepEqual(await store.counts(), [{ queue: 'queue', state: 'ready', count: 1 }])
  assert.equal((await store.claim(claimOf())).jobs.length, 1)
})

test('nothing of it is there if the transaction is rolled back', async (t) => {
  const { store, own } = await shared(t)
  const job = newJob({ queue: 'other', unique: unique('key') })
  own.exec('BEGIN IMMEDIATE')
  await store.insert([job], { tx: own })
  own.exec('ROLLBACK')
  assert.deepEqual(await store.get([job.id]), [null])
  assert.deepEqual(await store.counts(), [])
  assert.equal((await store.insert([newJob({ unique: unique('key') })]))[0]?.status, 'created')
})

test('the statements of one connection serve many transactions', async (t) => {
  const { store, own } = await shared(t)
  for (let round = 0; round < 3; round += 1) {
    own.exec('BEGIN IMMEDIATE')
    await store.insert([newJob({ queue: `queue ${round}` })], { tx: own })
    own.exec(round === 1 ? 'ROLLBACK' : 'COMMIT')
  }
  assert.deepEqual(
    (await store.counts()).map(({ queue }) => queue),
    ['queue 0', 'queue 2'],
  )
})

test('a connection that was closed and opened again serves as before', async (t) => {
  const { store, own } = await shared(t)
  for (let round = 0; round < 2; round += 1) {
    own.exec('BEGIN IMMEDIATE')
    await store.insert([newJob()], { tx: own })
    own.exec('COMMIT')
    own.close()
    own.open()
  }
  assert.deepEqual((await store.counts())[0]?.count, 2)
})

test('an advance in a transaction moves its record with it, or not at all', async (t) => {
  const { store, own } = await shared(t)
  await store.setup()
  const job = newJob()
  const advance = [{ key: 'offset', from: null, to: '1', jobs: [job.id] }]
  for (const [end, record] of [
    ['ROLLBACK', null],
    ['COMMIT', '1'],
  ] as const) {
    own.exec('BEGIN IMMEDIATE')
    const [answer] = await store.insert([job], { tx: own, advance })
    assert.equal(answer?.status, 'created')
    own.exec(end)
    assert.deepEqual(await store.getRecords(['offset']), [record])
    assert.equal((await store.get([job.id]))[0]?.state, record === null ? undefined : 'ready')
  }
})

test('a job is settled with what its handler wrote', async (t) => {
  const { store, own } = await shared(t)
  await store.insert([newJob(), newJob()])
  const [first, second] = (await store.claim(claimOf())).jobs
  assert.ok(first && second)
  own.exec('BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)')
  const followUp = newJob()
  assert.deepEqual(await store.settle([finish(first, { followUps: [followUp] })], own), ['settled'])
  own.exec('COMMIT')
  own.exec('BEGIN IMMEDIATE')
  assert.deepEqual(await store.settle([finish(first), finish(second)], own), ['settled', 'settled'])
  own.exec('ROLLBACK')
  const states = (await store.get([first.id, second.id, followUp.id])).map((job) => job?.state)
  assert.deepEqual(states, ['completed', 'running', 'ready'])
})

test('a file without the tables of Errand gets them in the same transaction', async (t) => {
  const { store, own } = await shared(t)
  own.exec('BEGIN IMMEDIATE')
  await store.insert([newJob()], { tx: own })
  own.exec('ROLLBACK; BEGIN IMMEDIATE')
  const job = newJob()
  await store.insert([job], { tx: own })
  own.exec('COMMIT')
  assert.equal((await store.get([job.id]))[0]?.state, 'ready')
})

test('a transaction that does not hold the write lock is refused', async (t) => {
  const { store, own, file } = await shared(t)
  await store.setup()
  const refused = hasCode('tx-not-immediate', /BEGIN IMMEDIATE/)
  await assert.rejects(store.insert([newJob()], { tx: own }), refused)

  const other = new DatabaseSync(file)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  own.exec('BEGIN')
  await assert.rejects(store.insert([newJob()], { tx: own }), refused)
  other.exec('ROLLBACK')
  own.exec('ROLLBACK; BEGIN')
  await assert.rejects(store.insert([newJob()], { tx: own }), refused, 'although the lock is free')

  own.prepare('SELECT count(*) FROM orders').get()
  await store.insert([newJob()])
  await assert.rejects(store.insert([newJob()], { tx: own }), refused)
  assert.equal(own.isTransaction, true)
  own.exec('ROLLBACK')
})

test('a call that fails leaves the transaction as it was', async (t) => {
  const { store, own } = await shared(t)
  await store.setup()
  const [good, bad] = [newJob(), newJob({ task: null as unknown as string })]
  own.exec('BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)')
  await assert.rejects(store.insert([good, bad], { tx: own }))
  assert.equal(own.isTransaction, true)
  own.exec('INSERT INTO orders VALUES (2); COMMIT')
  assert.equal(own.prepare('SELECT count(*) AS n FROM orders').get()?.['n'], 2)
  assert.deepEqual(await store.get([good.id]), [null])
})

test('what is no transaction on this file is refused', async (t) => {
  const { store } = await shared(t)
  const elsewhere = await shared(t)
  const refused = hasCode('tx-unsupported', /store/)
  await assert.rejects(store.insert([newJob()], { tx: {} }), refused)
  await assert.rejects(store.insert([newJob()], { tx: 'tx' }), refused)
  elsewhere.own.exec('BEGIN IMMEDIATE')
  await assert.rejects(store.insert([newJob()], { tx: elsewhere.own }), refused)
  const memory = new DatabaseSync(':memory:')
  t.after(() => memory.close())
  memory.exec('BEGIN IMMEDIATE')
  await assert.rejects(store.insert([newJob()], { tx: memory }), refused)
})

test('a connection that reads big integers or arrays serves as well', async (t) => {
  const { store, file } = await shared(t)
  await store.setup()
  const own = new DatabaseSync(file, { readBigInts: true, returnArrays: true })
  t.after(() => own.close())
  own.exec('BEGIN IMMEDIATE')
  const key = unique('key', { onConflict: 'replace' })
  const [first] = await store.insert([newJob({ unique: key, startWithinMs: 5 })], { tx: own })
  const [second] = await store.insert([newJob({ unique: key, input: '2' })], { tx: own })
  own.exec('COMMIT')
  assert.deepEqual(second, { id: first?.id, status: 'replaced', token: null })
  assert.equal((await store.claim(claimOf())).jobs[0]?.input, '2')
})

async function shared(t: TestContext): Promise<{ store: Store; own: DatabaseSync; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'app.db')
  const own = new DatabaseSync(file)
  own.exec('PRAGMA journal_mode = WAL; CREATE TABLE orders (number)')
  const store = sqlite(file)
  t.after(async () => {
    await store.close()
    if (own.isOpen) own.close()
    await rm(folder, { recursive: true })
  })
  return { store, own, file }
}

function hasCode(code: ErrandErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isErrandError(error, code), String(error))
    assert.match(error.message, message)
    return true
  }
}

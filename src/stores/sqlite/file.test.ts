/** Opening the file: when, where, by how many at once, and what is said when it cannot be. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import { isErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import type { Store } from '../../store/store.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { connect, sqlite, type SqliteOptions } from './index.ts'

const [role, childFile] = process.argv.slice(2)
if (role === 'insert' && childFile !== undefined) await insertOne(childFile)
else defineTests()

/** A child: opens the file as soon as all children are up, inserts a job and tells its id. */
async function insertOne(file: string): Promise<void> {
  const store = sqlite(file)
  process.once('message', () => {
    void store.insert([newJob()]).then(async ([inserted]) => {
      await store.close()
      process.send?.(inserted?.id, () => process.disconnect?.())
    })
  })
  process.send?.('ready')
}

function defineTests(): void {
  test('nothing is opened until the first call', async (t) => {
    const file = join(await folderOf(t), 'jobs.db')
    const store = open(t, file)
    assert.equal(existsSync(file), false)
    await store.insert([newJob()])
    assert.equal(existsSync(file), true)
    assert.equal(store.info.location, file)
    assert.equal(store.info.kind, 'sqlite')
  })

  test('any call sets up the file by itself', async (t) => {
    const store = open(t, join(await folderOf(t), 'jobs.db'))
    assert.deepEqual(await store.get(['none']), [null])
  })

  test('many processes set up one file at once', async (t) => {
    const file = join(await folderOf(t), 'jobs.db')
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT']
    const children = Array.from({ length: 8 }, () =>
      fork(import.meta.filename, ['insert', file], { env }),
    )
    const heard = (child: (typeof children)[number]): Promise<unknown> =>
      new Promise((resolve) => child.once('message', resolve))
    await Promise.all(children.map(heard))
    const ids = Promise.all(children.map(heard))
    for (const child of children) child.send('go')
    const jobs = await open(t, file).get((await ids) as string[])
    assert.equal(jobs.filter((job) => job?.state === 'ready').length, 8)
  })

  test('the file may hold tables of its user, and their own user_version', async (t) => {
    const file = join(await folderOf(t), 'app.db')
    const own = new DatabaseSync(file)
    t.after(() => own.close())
    own.exec('PRAGMA user_version = 77; CREATE TABLE jobs (x); INSERT INTO jobs VALUES (1)')
    const store = open(t, file)
    await store.insert([newJob()])
    assert.equal((await store.list({ limit: 10 })).jobs.length, 1)
    assert.equal(own.prepare('PRAGMA user_version').get()?.['user_version'], 77)
    assert.equal(own.prepare('SELECT count(*) AS n FROM jobs').get()?.['n'], 1)
  })

  test('a second client, made from the connector, has the same jobs', async (t) => {
    const store = open(t, join(await folderOf(t), 'jobs.db'))
    const job = newJob()
    await store.insert([job])
    const connector = store.connector
    assert.ok(connector)
    assert.match(connector.module ?? '', /sqlite\/index\.ts$/)
    const other = connect(structuredClone(connector.argument))
    t.after(() => other.close())
    assert.equal((await other.get([job.id]))[0]?.id, job.id)
  })

  test('a schema newer than this code is refused', async (t) => {
    const file = join(await folderOf(t), 'jobs.db')
    const first = open(t, file)
    await first.setup()
    await first.close()
    const own = new DatabaseSync(file)
    own.exec(`UPDATE errand_meta SET value = 99 WHERE name = 'schema'`)
    own.close()
    await refuses(open(t, file), 'store-too-new', /upgrade errand/)
  })

  test('a file that is no database is refused', async (t) => {
    const file = join(await folderOf(t), 'jobs.db')
    await writeFile(file, 'This is a letter, not a database. '.repeat(100))
    await refuses(open(t, file), 'store-corrupt', /backup/)
  })

  test('a folder that is missing is named, and works once it is there', async (t) => {
    const folder = await folderOf(t)
    const store = open(t, join(folder, 'none', 'jobs.db'))
    await refuses(store, 'store-unavailable', /folder/)
    await refuses(open(t, folder), 'store-unavailable', /folder/)
    await writeFile(join(folder, 'there.db'), '')
    await open(t, join(folder, 'there.db')).setup()
  })

  test('databases in memory and unknown options are refused at once', () => {
    for (const file of [':memory:', '', 'file:x?mode=memory'])
      assert.throws(() => sqlite(file), hasCode('invalid-option', /memory\(\)/))
    assert.throws(
      () => sqlite('x.db', { durabilty: 'power' } as SqliteOptions),
      hasCode('invalid-option', /durability/),
    )
    assert.throws(
      () => sqlite('x.db', { durability: 'disk' } as unknown as SqliteOptions),
      hasCode('invalid-option', /'power'/),
    )
  })

  test('a closed store says so, and closing again is nothing', async (t) => {
    const store = open(t, join(await folderOf(t), 'jobs.db'))
    await store.insert([newJob()])
    await store.close()
    await store.close()
    await assert.rejects(store.insert([newJob()]), hasCode('closed', /sqlite\(\)/))
    await assert.rejects(store.counts(), hasCode('closed', /sqlite\(\)/))
    await assert.rejects(store.insert([newJob()], {}), hasCode('closed', /sqlite\(\)/))
    assert.throws(() => store.watch(() => undefined), hasCode('closed', /sqlite\(\)/))
  })

  test('the durability asked for is what SQLite was told', async (t) => {
    const folder = await folderOf(t)
    assert.match(sqlite(join(folder, 'a.db')).info.durability, /NORMAL/)
    assert.match(sqlite(join(folder, 'a.db'), { durability: 'power' }).info.durability, /FULL/)
  })

  test('a value that SQLite cannot hold rejects its batch, and the store goes on', async (t) => {
    const store = open(t, join(await folderOf(t), 'jobs.db'))
    const good = newJob()
    const bad = newJob({ task: undefined as unknown as string })
    await assert.rejects(store.insert([good, bad]))
    assert.deepEqual(await store.get([good.id]), [null])
    await store.insert([good])
    assert.equal((await store.get([good.id]))[0]?.state, 'ready')
  })
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

function open(t: TestContext, file: string): Store {
  const store = sqlite(file)
  t.after(() => store.close())
  return store
}

async function refuses(store: Store, code: ErrandErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(store.insert([newJob()]), hasCode(code, message))
  await assert.rejects(store.setup(), hasCode(code, message))
}

function hasCode(code: ErrandErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isErrandError(error, code), String(error))
    assert.match(error.message, message)
    return true
  }
}

/** The file, or its log, is not the one that was opened: nothing is acknowledged into it, and only what is safe is opened again. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import type { Hint } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, rescueOf, newJob, workerOf } from '../../testing/conformance/jobs.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { connect, sqlite } from './index.ts'

/** How long a store rejects before it opens what lies in the place of its file. */
const restMs = 5_000
const [role, childFile] = process.argv.slice(2)
if (role === 'child' && childFile !== undefined) await serve(childFile)
else defineTests()

/** A child: another process, with a store on the same file, that does what it is told. */
async function serve(file: string): Promise<void> {
  const store = sqlite(file)
  process.on('message', (what: 'insert' | 'ids' | 'close') => {
    const answers = {
      insert: async () => (await store.insert([newJob()])).map(({ id }) => id),
      ids: () => idsIn(store),
      close: async () => (await store.close(), []),
    }
    void answers[what]().then((ids) => process.send?.(ids))
  })
  process.send?.([])
}

function defineTests(): void {
  test('what is inserted after the file was removed is refused, and no file is made', async (t) => {
    const { store, file } = await opened(t)
    await store.insert([newJob()])
    remove(file)
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
    await assert.rejects(store.counts(), refusal('file-gone'))
    await store.close()
    assert.equal(existsSync(file), false)
  })

  test('an insert whose file is removed before its commit has ended is refused', async (t) => {
    const clock = new VirtualClock()
    const { store, file } = await opened(t, clock)
    clock.now = () => {
      rmSync(file, { force: true })
      return 1
    }
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
  })

  test('every call of the contract says that the file was replaced', async (t) => {
    const { store, file } = await opened(t)
    const own = new DatabaseSync(file)
    t.after(() => own.close())
    own.exec('BEGIN IMMEDIATE')
    remove(file)
    const request = { name: 'lock', holder: 'holder', token: null, ttlMs: 1, host: '', pid: 1 }
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      insert: () => store.insert([newJob()]),
      'insert with tx': () => store.insert([newJob()], { tx: own }),
      claim: () => store.claim(claimOf()),
      settle: () => store.settle([]),
      'settle with tx': () => store.settle([], own),
      renew: () => store.renew([], 1),
      note: () => store.note([]),
      record: () => store.record([]),
      rescue: () => store.rescue(rescueOf()),
      tend: () => store.tend(workerOf()),
      get: () => store.get(['id']),
      list: () => store.list({ limit: 1 }),
      counts: () => store.counts(),
      stats: () => store.stats(),
      logs: () => store.logs('id'),
      recorded: () => store.recorded({ id: 'id', after: null, limit: 1 }),
      cancel: () => store.cancel(['id'], null),
      retry: () => store.retry(['id']),
      remove: () => store.remove(['id']),
      take: () => store.take(['id']),
      prune: () => store.prune({ limit: 1, cap: 1 }),
      pause: () => store.pause(['queue']),
      resume: () => store.resume(['queue']),
      queues: () => store.queues(),
      workers: () => store.workers(),
      registerTasks: () => store.registerTasks([]),
      tasks: () => store.tasks(),
      hold: () => store.hold(request),
      release: () => store.release({ name: 'lock', holder: 'holder', token: 1 }),
      lockOwner: () => store.lockOwner('lock'),
      putRecords: () => store.putRecords([{ key: 'key', text: 'text' }]),
      getRecords: () => store.getRecords(['key']),
      listRecords: () => store.listRecords({ prefix: 'key', after: null, limit: 1 }),
      setup: () => store.setup(),
    }
    for (const [name, call] of Object.entries(calls))
      await assert.rejects(call, refusal('file-gone'), name)
  })

  test('a thread of the store that has not opened the file yet makes no new one', async (t) => {
    const file = join(await folderOf(t), 'jobs.db')
    const store = sqlite(file)
    t.after(() => store.close())
    const thread = connect(structuredClone(store.connector?.argument))
    t.after(() => thread.close())
    await store.setup()
    remove(file)
    await assert.rejects(thread.renew([], 1), refusal('file-gone'))
    assert.equal(existsSync(file), false)
  })

  test('watchers are made to ask, though nobody called', { timeout: 30_000 }, async (t) => {
    const { store, file } = await opened(t)
    const hints = new Set<Hint>()
    const all = Promise.withResolvers<void>()
    store.watch((hint) => {
      hints.add(hint)
      if (hints.size === 6) all.resolve()
    })
    remove(file)
    await all.promise
    await assert.rejects(store.counts(), refusal('file-gone'))
  })

  test('another file in its place is refused at first, then opened; the old one leaves it alone', async (t) => {
    const { store, file, clock } = await opened(t)
    await store.insert([newJob()])
    remove(file)
    const other = await child(t, file)
    const [id = ''] = await other.ask('insert')
    await assert.rejects(store.insert([newJob()]), refusal('file-other'))
    await clock.advance(restMs - 1)
    await assert.rejects(store.insert([newJob()]), refusal('file-other'))
    await clock.advance(1)
    const [later] = await store.insert([newJob()])
    assert.deepEqual(await idsIn(store), inOrder([id, later?.id ?? '']))
    assert.deepEqual(await other.ask('ids'), inOrder([id, later?.id ?? '']))
  })

  test('a store that is closed after its file was replaced leaves the new log alone', async (t) => {
    const { store, file } = await opened(t)
    await store.insert([newJob()])
    remove(file)
    const other = await child(t, file)
    const [id = ''] = await other.ask('insert')
    await store.close()
    await other.kill()
    assert.deepEqual(await idsIn(sqliteFor(t, file)), [id])
  })

  test('a file that was moved away is waited for, and gone on with when it is back', async (t) => {
    const { store, file, clock } = await opened(t)
    const [before] = await store.insert([newJob()])
    for (const end of ends) renameSync(file + end, `${file}.away${end}`)
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
    await clock.advance(restMs)
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
    assert.equal(existsSync(file), false)
    for (const end of ends)
      if (existsSync(`${file}.away${end}`)) renameSync(`${file}.away${end}`, file + end)
    assert.ok((await idsIn(store)).includes(before?.id ?? ''))
  })

  test('the folder of the file is renamed', async (t) => {
    const { store, file, folder } = await opened(t)
    renameSync(folder, `${folder}.away`)
    t.after(() => rmSync(`${folder}.away`, { recursive: true }))
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
    mkdirSync(folder)
    writeFileSync(file, '')
    await assert.rejects(store.insert([newJob()]), refusal('file-gone'))
  })

  test('a name that is made to point at another file is another file', async (t) => {
    const folder = await folderOf(t)
    const name = join(folder, 'current.db')
    symlinkSync(join(folder, 'one.db'), name)
    const clock = new VirtualClock()
    const store = sqliteFor(t, name, clock)
    const [one] = await store.insert([newJob()])
    rmSync(name)
    symlinkSync(join(folder, 'two.db'), name)
    writeFileSync(join(folder, 'two.db'), '')
    await assert.rejects(store.insert([newJob()]), refusal('file-other'))
    await clock.advance(restMs)
    assert.deepEqual(await idsIn(store), [])
    assert.ok((await idsIn(sqliteFor(t, join(folder, 'one.db')))).includes(one?.id ?? ''))
  })

  test('tokens go on growing after a backup has taken the last ones back', async (t) => {
    const { store, file, clock } = await opened(t)
    const own = new DatabaseSync(file)
    own.exec(`VACUUM INTO '${file}.backup'`)
    own.close()
    await store.insert([newJob()])
    const last = (await store.claim(claimOf())).jobs[0]?.token ?? Infinity
    remove(file)
    renameSync(`${file}.backup`, file)
    await assert.rejects(store.insert([newJob()]), refusal('file-other'))
    await clock.advance(restMs)
    await store.insert([newJob()])
    const next = (await store.claim(claimOf())).jobs[0]?.token ?? 0
    assert.ok(next > last, `${next} after ${last}`)
  })

  test('a log that another process took away, after this one lost its locks, ends the use of the file', async (t) => {
    const { store, file, clock } = await opened(t)
    const [before] = await store.insert([newJob()])
    // What a second SQLite library does when it closes the file, and a copy of the files made in this process.
    for (const end of ends) closeSync(openSync(file + end, 'r'))
    const other = await child(t, file)
    assert.deepEqual(await other.ask('ids'), [before?.id])
    await other.ask('close')
    assert.equal(existsSync(`${file}-wal`), false)
    await assert.rejects(store.insert([newJob()]), refusal('log-gone'))
    await clock.advance(2 * restMs)
    await assert.rejects(store.insert([newJob()]), refusal('log-gone'))
    await assert.rejects(sqliteFor(t, file).setup(), refusal('log-gone'))
    assert.deepEqual(await (await child(t, file)).ask('ids'), [before?.id])
  })

  test('what was acknowledged into a log that was then removed is saved', async (t) => {
    const { store, file } = await opened(t)
    const ids = [(await store.insert([newJob()]))[0]?.id ?? '']
    rmSync(`${file}-wal`)
    const refused = await insertUntilRefused(store, ids)
    assert.ok(refusal('log-gone')(refused))
    assert.deepEqual(await (await child(t, file)).ask('ids'), inOrder(ids))
  })

  test('a log that others wrote in the place of a removed one is left to them', async (t) => {
    const { store, file } = await opened(t)
    await store.insert([newJob()])
    for (const end of ['-wal', '-shm']) rmSync(file + end)
    const other = await child(t, file)
    const [id = ''] = await other.ask('insert')
    await other.kill()
    await assert.rejects(store.insert([newJob()]), refusal('log-other'))
    await store.close()
    const ids = await (await child(t, file)).ask('ids')
    assert.ok(ids.includes(id), `${id} is not among ${ids.join()}`)
  })

  test('a new file is for its owner only, with its log and index; one that was there keeps its mode', async (t) => {
    const folder = await folderOf(t)
    const file = join(folder, 'new.db')
    await sqliteFor(t, file).insert([newJob()])
    for (const end of ends) assert.equal(modeOf(file + end), 0o600, end)
    const shared = join(folder, 'shared.db')
    writeFileSync(shared, '', { mode: 0o644 })
    await sqliteFor(t, shared).insert([newJob()])
    for (const end of ends) assert.equal(modeOf(shared + end), 0o644, end)
    symlinkSync(join(folder, 'target.db'), join(folder, 'link.db'))
    await sqliteFor(t, join(folder, 'link.db')).insert([newJob()])
    for (const end of ends) assert.equal(modeOf(join(folder, `target.db${end}`)), 0o600, end)
  })
}

/** Inserts, and adds what was acknowledged to the ids, until it is refused. */
async function insertUntilRefused(store: Store, ids: string[]): Promise<unknown> {
  for (;;) {
    try {
      ids.push((await store.insert([newJob()]))[0]?.id ?? '')
    } catch (error) {
      return error
    }
  }
}

const ends = ['', '-wal', '-shm'] as const

function remove(file: string): void {
  for (const end of ends) rmSync(file + end)
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777
}

function refusal(mismatch: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isErrandError(error, 'store-replaced'), String(error))
    assert.equal(error.details['mismatch'], mismatch)
    return true
  }
}

async function idsIn(store: Store): Promise<string[]> {
  return inOrder((await store.list({ limit: 100 })).jobs.map(({ id }) => id))
}

function inOrder(ids: readonly string[]): string[] {
  return ids.toSorted((a, b) => (a < b ? -1 : 1))
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** A store whose file is open. */
async function opened(
  t: TestContext,
  clock = new VirtualClock(),
): Promise<{ store: Store; file: string; folder: string; clock: VirtualClock }> {
  const folder = await folderOf(t)
  const file = join(folder, 'jobs.db')
  const store = sqliteFor(t, file, clock)
  await store.setup()
  return { store, file, folder, clock }
}

function sqliteFor(t: TestContext, file: string, clock = new VirtualClock()): Store {
  const store = sqlite(file, { clock })
  t.after(() => store.close())
  return store
}

interface Other {
  ask(what: 'insert' | 'ids' | 'close'): Promise<string[]>
  kill(): Promise<void>
}

async function child(t: TestContext, file: string): Promise<Other> {
  const env = { ...process.env }
  delete env['NODE_TEST_CONTEXT']
  const other = fork(import.meta.filename, ['child', file], { env })
  t.after(() => other.kill('SIGKILL'))
  const heard = (): Promise<string[]> =>
    new Promise((resolve, reject) => {
      other.once('message', (ids) => resolve(ids as string[]))
      other.once('exit', (code) => reject(new Error(`the other process ended with ${code}`)))
    })
  await heard()
  return {
    ask(what) {
      const answer = heard()
      other.send(what)
      return answer
    },
    async kill() {
      const ended = new Promise((resolve) => other.once('exit', resolve))
      other.kill('SIGKILL')
      await ended
    },
  }
}

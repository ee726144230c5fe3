/** Hints: soon after a commit, whoever made it, and nothing for nothing. */
import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import type { Hint } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

const [role, childFile] = process.argv.slice(2)
if (role === 'insert' && childFile !== undefined) await insertOnDemand(childFile)
else if (role === 'idle' && childFile !== undefined) await watchAndEnd(childFile)
else defineTests()

/** A child: inserts a job for each message and tells when. */
async function insertOnDemand(file: string): Promise<void> {
  const store = sqlite(file)
  await store.setup()
  process.on('message', () => {
    void store.insert([newJob()]).then(() => process.send?.('inserted'))
  })
  process.send?.('ready')
}

/** A child that should end by itself: a store that is idle, watched and open does not keep it alive. */
async function watchAndEnd(file: string): Promise<void> {
  const store = sqlite(file)
  store.watch(() => undefined)
  await store.insert([newJob()])
}

function defineTests(): void {
  test('the commit of another process is noticed within milliseconds', async (t) => {
    const { store, file } = await watched(t)
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT']
    const child = fork(import.meta.filename, ['insert', file], { env })
    t.after(() => child.kill())
    await once(child)
    const heard = await listen(store)
    const waits: number[] = []
    for (let round = 0; round < 20; round += 1) {
      const hint = heard.next('work')
      const inserted = once(child)
      child.send('insert')
      await inserted
      const start = performance.now()
      await hint
      waits.push(performance.now() - start)
      await heard.quiet()
    }
    waits.sort((a, b) => a - b)
    // The slow timer alone would take 250 ms on average.
    assert.ok((waits[10] ?? Infinity) < 50, waits.join())
  })

  test('two stores of one process on one file notice each other', async (t) => {
    const { store, file } = await watched(t)
    const heard = await listen(store)
    const other = sqlite(file)
    t.after(() => other.close())
    await other.insert([newJob()])
    await heard.next('work')
  })

  test('a commit of the user’s own transaction is noticed', async (t) => {
    const { store, file } = await watched(t)
    const heard = await listen(store)
    const own = new DatabaseSync(file)
    t.after(() => own.close())
    own.exec('BEGIN IMMEDIATE')
    await store.insert([newJob()], { tx: own })
    await heard.quiet()
    const hint = heard.next('work')
    own.exec('COMMIT')
    await hint
  })

  test('cancels and pauses of others are told only when there were any', async (t) => {
    const { store, file } = await watched(t)
    const other = sqlite(file)
    t.after(() => other.close())
    await store.insert([newJob()])
    const [job] = (await store.claim(claimOf())).jobs
    assert.ok(job)
    const heard = await listen(store)

    await other.insert([newJob({ queue: 'other' })])
    await heard.next('work')
    await heard.quiet()
    assert.deepEqual(heard.only(['cancel', 'paused']), [])
    await other.cancel([job.id], null)
    await heard.next('cancel')
    await heard.quiet()
    assert.deepEqual(heard.only(['paused']), [])
    await other.pause(['other'])
    await heard.next('paused')
    await other.settle([finish(job)])
    await heard.next('finished')
  })

  test('a watcher that has stopped hears nothing more', async (t) => {
    const { store } = await watched(t)
    const hints: Hint[] = []
    const unwatch = store.watch((hint) => hints.push(hint))
    await store.insert([newJob()])
    unwatch()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual(hints, [])
  })

  test('an idle store does not keep its process alive', async (t) => {
    const { file } = await watched(t)
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT']
    const child = spawn(process.execPath, [import.meta.filename, 'idle', file], { env })
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const late = setTimeout(() => child.kill(), 10_000)
    assert.equal(await ended, 0)
    clearTimeout(late)
  })
}

async function watched(t: TestContext): Promise<{ store: Store; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'jobs.db')
  const store = sqlite(file)
  await store.setup()
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  return { store, file }
}

interface Heard {
  /** Resolves when a hint of that kind comes that was not asked for yet. */
  next(kind: Hint): Promise<void>
  /** Resolves when no hint has come for a while. */
  quiet(): Promise<void>
  /** What of these kinds came since the last question. */
  only(kinds: readonly Hint[]): readonly Hint[]
}

async function listen(store: Store): Promise<Heard> {
  let hints: Hint[] = []
  let wake = (): void => undefined
  store.watch((hint) => {
    hints.push(hint)
    wake()
  })
  const change = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms)
      wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  const heard: Heard = {
    async next(kind) {
      while (!hints.includes(kind)) assert.ok(await change(5_000), `no ${kind} came`)
      hints = hints.filter((hint) => hint !== kind)
    },
    async quiet() {
      while (await change(15));
    },
    only(kinds) {
      const found = hints.filter((hint) => kinds.includes(hint))
      hints = []
      return found
    },
  }
  await heard.quiet()
  heard.only([])
  return heard
}

function once(child: ReturnType<typeof fork>): Promise<unknown> {
  return new Promise((resolve) => child.once('message', resolve))
}

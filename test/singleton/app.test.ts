/** Singletons as a program has them: through an app, with the lock of its store kept by a thread. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createErrand, singleton, task, type AnySingleton, type Errand } from 'errand'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'

async function fileOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-singleton-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'errand.db')
}

function appOn(t: TestContext, file: string, ...singletons: AnySingleton[]): Errand {
  const errand = createErrand({ store: sqlite(file), singletons })
  t.after(() => errand.close())
  return errand
}

function signalOf(t: TestContext): AbortController {
  const stop = new AbortController()
  t.after(() => stop.abort())
  return stop
}

function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a run that blocks its event loop for three times the ttl keeps its lock', async (t) => {
  const file = await fileOf(t)
  let extended = false
  const reports = singleton({
    name: 'reports',
    once: true,
    ttl: '1s',
    run: async ({ extend, signal }) => {
      blockFor(3_000)
      await extend()
      extended = !signal.aborted
    },
  })
  const errand = appOn(t, file, reports)
  const rival = appOn(t, file, reports)
  const first = errand.singletons.run('reports', signalOf(t))
  assert.equal((await first).status, 'succeeded')
  assert.ok(extended)
  assert.equal(await rival.singletons.owner('reports'), null)
})

test('one of two processes runs, and the other when that has stopped', async (t) => {
  const file = await fileOf(t)
  const runs: string[] = []
  const waiting = Promise.withResolvers<void>()
  const passed = Promise.withResolvers<void>()
  const named = (name: string): AnySingleton =>
    singleton({
      name: 'reports',
      pause: '5ms',
      keepLock: true,
      run: ({ token }) => {
        assert.equal(typeof token, 'number')
        if (runs.at(-1) !== name) runs.push(name)
        if (name === 'b') passed.resolve()
      },
    })
  const a = appOn(t, file, named('a'))
  const b = appOn(t, file, named('b'))
  const [stopA, stopB] = [signalOf(t), signalOf(t)]
  const started = new Promise<void>((resolve) => a.on('singleton-ended', () => resolve()))
  const endedA = a.singletons.run('reports', stopA)
  await started
  b.on('singleton-waiting', ({ owner }) => {
    assert.equal(owner?.pid, process.pid)
    waiting.resolve()
  })
  const endedB = b.singletons.run('reports', stopB)
  await waiting.promise
  stopA.abort()
  await endedA
  await passed.promise
  stopB.abort()
  await endedB
  assert.deepEqual(runs, ['a', 'b'])
  assert.equal(await a.singletons.owner('reports'), null)
})

test('beats lie in the store unless something else is said, and are checked by age', async (t) => {
  const reports = singleton({ name: 'reports', once: true, run: () => {} })
  const errand = appOn(t, await fileOf(t), reports)
  assert.deepEqual((await errand.singletons.check('reports', 60_000)).passes, false)
  await errand.singletons.run('reports', signalOf(t))
  const { passes, success } = await errand.singletons.check('reports', 60_000)
  assert.ok(passes)
  assert.ok(Math.abs((success?.at ?? 0) - Date.now()) < 60_000)
})

test('a job can trigger a singleton, and a singleton can enqueue jobs', async (t) => {
  const file = await fileOf(t)
  const seen: string[] = []
  const triggered = Promise.withResolvers<void>()
  const wake = task({
    name: 'wake',
    run: async (): Promise<void> => errand.singletons.trigger('reports'),
  })
  const reports = singleton({
    name: 'reports',
    pause: '1h',
    run: async () => {
      seen.push('run')
      if (seen.length === 1) await errand.enqueue(wake)
      else triggered.resolve()
    },
  })
  const errand: Errand = createErrand({
    store: sqlite(file),
    tasks: [wake],
    singletons: [reports],
  })
  t.after(() => errand.close())
  const worker = errand.worker()
  await worker.start()
  const stop = signalOf(t)
  const ended = errand.singletons.run('reports', stop)
  await triggered.promise
  stop.abort()
  await ended
})

test('what cannot work is refused before anything runs', async (t) => {
  const reports = singleton({ name: 'reports', ttl: '10ms', run: () => {} })
  const errand = appOn(t, await fileOf(t), reports)
  const stop = signalOf(t)
  await assert.rejects(errand.singletons.run('report', stop), /Did you mean reports\?/)
  await assert.rejects(errand.singletons.run('reports', stop), /shorter than sqlite can keep/)
  await assert.rejects(
    errand.singletons.run('reports', { signal: stop.signal, flags: { lock: 'consl' } }),
    /no lock consl. Did you mean consul/,
  )
  assert.throws(
    () => createErrand({ store: memory(), singletons: [reports, reports] }),
    /Two singletons are called reports/,
  )
})

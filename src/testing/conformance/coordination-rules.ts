import assert from 'node:assert/strict'
import { isErrandError } from '../../core/errors.ts'
import type { SourceRecord } from '../../store/registry.ts'
import type { Hint } from '../../store/worker-calls.ts'
import type { Rule } from './harness.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  hour,
  leaseMs,
  minute,
  newJob,
  taskOf,
  workerOf,
} from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

const source: SourceRecord = {
  name: 'rabbitmq',
  state: 'connecting',
  failures: 2,
  storeFailures: 0,
  lastError: 'it is "away" 🙂',
  stored: 3,
  known: 1,
  parked: 0,
}

const tendRules: readonly Rule[] = rulesOf('tend', {
  'a heartbeat is kept as it was given, with the time of the store, and replaced by the next':
    async (scene) => {
      const worker = workerOf({
        id: 'w',
        queues: ['a', 'b'],
        running: [newJob().id],
        startedAt: 5,
        slots: 3,
        sources: [source],
      })
      const now = await scene.now()
      await scene.store.tend(worker)
      const other = await scene.another()
      const record = only(await other.workers())
      scene.near(record.lastSeenAt, now)
      assert.deepEqual({ ...record, lastSeenAt: 0 }, worker)
      await scene.advance(minute)
      await scene.store.tend({ ...worker, running: [], stopped: true })
      const later = only(await scene.store.workers())
      scene.near(later.lastSeenAt, now + minute)
      assert.deepEqual([later.running, later.stopped], [[], true])
    },

  'an empty store has nothing to do': async (scene) => {
    const { now, ...tended } = await scene.store.tend(workerOf())
    scene.near(now, await scene.now())
    assert.deepEqual(tended, {
      paused: [],
      nextDueMs: null,
      ready: false,
      sweepDue: false,
      pruneDue: false,
    })
  },

  'a paused queue is known by name until it is resumed, with or without jobs': async (scene) => {
    const client = await scene.another()
    const paused = async (): Promise<readonly string[][]> => [
      [...(await client.tend(workerOf())).paused].sort(),
      (await client.queues()).flatMap(({ name, paused }) => (paused ? [name] : [])).sort(),
    ]
    await scene.enqueue({ queue: 'b' })
    await scene.store.pause(['a', 'c', 'b'])
    await scene.store.pause(['a'])
    assert.deepEqual(await paused(), [
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ])
    await scene.store.resume(['c', 'never paused', 'b'])
    assert.deepEqual(await paused(), [['a'], ['a']])
    assert.deepEqual(
      [...(await scene.store.queues())].sort((one, other) => (one.name < other.name ? -1 : 1)),
      [
        { name: 'a', paused: true },
        { name: 'b', paused: false },
      ],
    )
  },

  'a queue whose jobs are gone leaves nothing behind': async (scene) => {
    const names = Array.from({ length: 50 }, (_, n) => `tenant ${n}`)
    await scene.store.insert(names.map((queue) => newJob({ queue })))
    const jobs = await scene.claim({ queues: [], others: 1, limit: 100 })
    assert.equal(jobs.length, names.length)
    await scene.store.settle(jobs.map((job) => finish(job, { keepMs: 0 })))
    assert.equal((await scene.store.tend(workerOf({ queues: ['*'] }))).ready, false)
    assert.deepEqual(await scene.store.counts(), [])
    assert.deepEqual(await scene.store.queues(), [])
  },

  'ready tells of work in the queues of the worker': async (scene) => {
    const ready = async (...queues: string[]): Promise<boolean> =>
      (await scene.store.tend(workerOf({ queues }))).ready
    await scene.enqueue({ queue: 'a' })
    assert.deepEqual(
      [await ready('a'), await ready('b'), await ready('*'), await ready()],
      [true, false, true, false],
    )
    await scene.store.pause(['a'])
    assert.deepEqual([await ready('a'), await ready('*')], [false, false])
    await scene.store.resume(['a'])
    const job = await scene.claimOne({ queues: [{ name: 'a', limit: 1 }] })
    assert.equal(await ready('a'), false)
    await scene.makeSuspect(job)
    assert.equal(await ready('a'), true)
  },

  'nextDueMs tells how long the next scheduled job is away, and a due one is ready': async (
    scene,
  ) => {
    await scene.enqueue({ delayMs: hour })
    await scene.enqueue({ delayMs: minute, queue: 'other' })
    scene.near((await scene.store.tend(workerOf())).nextDueMs, minute)
    await scene.advance(minute + 1)
    const tended = await scene.store.tend(workerOf({ queues: ['other'] }))
    assert.ok(tended.ready || tended.nextDueMs === 0)
    await scene.claim({ queues: [{ name: 'other', limit: 1 }] })
    scene.near((await scene.store.tend(workerOf())).nextDueMs, hour - minute - 1)
  },

  'sweep tells of expired leases and of overdue jobs, of whatever task': async (scene) => {
    const sweep = async (): Promise<boolean> => (await scene.store.tend(workerOf())).sweepDue
    const job = await scene.running({ task: 'nobody knows it' })
    assert.equal(await sweep(), false)
    await scene.advance(leaseMs + 1)
    assert.equal(await sweep(), true)
    await scene.store.renew([job], leaseMs)
    assert.equal(await sweep(), false)
    await scene.enqueue({ delayMs: hour, deadlineMs: 10 })
    await scene.advance(11)
    assert.equal(await sweep(), true)
    await scene.sweep()
    assert.equal(await sweep(), false)
  },
})

const registryRules: readonly Rule[] = rulesOf('registry', {
  'tasks are added and replaced by name': async (scene) => {
    const a = taskOf({
      name: 'a',
      aliases: ['x', 'y'],
      inputSchema: '{"type":"object"}',
      options: '{"o":1}',
    })
    await scene.store.registerTasks([a, taskOf({ name: 'b' })])
    await scene.store.registerTasks([taskOf({ name: 'b', queue: 'second' })])
    const other = await scene.another()
    const tasks = [...(await other.tasks())].sort((one, two) => (one.name < two.name ? -1 : 1))
    assert.deepEqual(tasks, [a, taskOf({ name: 'b', queue: 'second' })])
  },

  'setup may be called again, by several clients at once, and changes nothing': async (scene) => {
    await scene.enqueue()
    const clients = await scene.clients(3)
    await scene.changesNothing(() =>
      Promise.all([scene.store, ...clients].map((store) => store.setup())),
    )
  },
})

const watchRules: readonly Rule[] = rulesOf('watch', {
  'a watcher hears of new work, never within the call that made it': async (scene) => {
    const heard = listen(scene)
    let insideCall = true
    const stop = scene.store.watch(() => assert.equal(insideCall, false))
    const inserted = scene.store.insert([newJob()])
    insideCall = false
    await inserted
    await heard.wait('work')
    stop()
  },

  'a watcher hears of ends, cancels and pauses': async (scene) => {
    const heard = listen(scene)
    const job = await scene.running()
    await scene.store.cancel([job.id], null)
    await heard.wait('cancel')
    await scene.settle(finish(job))
    await heard.wait('finished')
    await scene.store.pause(['queue'])
    await heard.wait('paused')
  },

  'a watcher hears of jobs that are put back and of scheduled ones': async (scene) => {
    const job = await scene.running()
    const first = listen(scene)
    await scene.settle(requeue(job))
    await first.wait('work')
    const second = listen(scene)
    await scene.enqueue({ delayMs: hour })
    await second.wait('work')
  },

  'a watcher hears of records that another client writes': async (scene) => {
    const other = await scene.another()
    const first = listen(scene)
    await other.putRecords([{ key: 'record', text: '1' }])
    await first.wait('record')
    // Whatever a watch tells at its start is told now.
    const second = listen(scene)
    await other.putRecords([{ key: 'record', text: '2' }])
    await second.wait('record')
  },

  'a watcher hears nothing after it stopped to watch': async (scene) => {
    const hints: Hint[] = []
    const stop = scene.store.watch((hint) => hints.push(hint))
    stop()
    stop()
    const heard = listen(scene)
    await scene.enqueue()
    await heard.wait('work')
    assert.deepEqual(hints, [])
  },
})

const closeRules: readonly Rule[] = rulesOf('close', {
  'after close every call rejects with closed': async (scene) => {
    const store = await scene.another()
    await store.close()
    const calls: (() => Promise<unknown>)[] = [
      () => store.setup(),
      () => store.insert([newJob()]),
      () => store.claim(claimOf()),
      () => store.settle([]),
      () => store.renew([], leaseMs),
      () => store.note([]),
      () => store.rescue(rescueOf()),
      () => store.tend(workerOf()),
      () => store.get([]),
      () => store.list({ limit: 1 }),
      () => store.counts(),
      () => store.logs(newJob().id),
      () => store.cancel([], null),
      () => store.retry([]),
      () => store.remove([]),
      () => store.take([]),
      () => store.prune({ limit: 1, cap: 1 }),
      () => store.pause([]),
      () => store.resume([]),
      () => store.queues(),
      () => store.workers(),
      () => store.registerTasks([]),
      () => store.tasks(),
    ]
    for (const call of calls)
      await assert.rejects(call, (error) => isErrandError(error, 'closed'), String(call))
  },

  'closing one client leaves the others and the data alone': async (scene) => {
    const other = await scene.another()
    const job = newJob()
    await other.insert([job])
    await other.close()
    await other.close()
    assert.deepEqual(await scene.claimIds(), [job.id])
  },

  'a closed client hears no hints': async (scene) => {
    const other = await scene.another()
    const hints: Hint[] = []
    other.watch((hint) => hints.push(hint))
    await other.close()
    const heard = listen(scene)
    await scene.enqueue()
    await heard.wait('work')
    assert.deepEqual(hints, [])
  },
})

export const coordinationRules: readonly Rule[] = [
  ...tendRules,
  ...registryRules,
  ...watchRules,
  ...closeRules,
]

/** Gathers hints; `wait` resolves when one was heard and rejects after ten seconds of real time. */
function listen(scene: Scene): { wait(hint: Hint): Promise<void> } {
  const hints = new Set<Hint>()
  scene.store.watch((hint) => hints.add(hint))
  return {
    async wait(hint) {
      const start = performance.now()
      while (!hints.has(hint)) {
        if (performance.now() - start > 10_000)
          throw new assert.AssertionError({ message: `no hint of ${hint}` })
        await scene.advance(10)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    },
  }
}

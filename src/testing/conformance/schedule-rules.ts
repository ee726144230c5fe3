import assert from 'node:assert/strict'
import { isErrandError } from '../../core/errors.ts'
import { readTick } from '../../app/new-job.ts'
import {
  schedule,
  type Schedule,
  type TaskScheduleOptions,
} from '../../flows/schedules/schedule.ts'
import { calls as storeCalls } from '../../store/calls.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { counted, finish, hour, minute } from './jobs.ts'
import type { Rule } from './harness.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'
import { ScheduleProcess, ticked } from './schedule-process.ts'

/** Schedules fire each tick once, whoever fires it, and uphold what they say of earlier ones. */
export const scheduleRules: readonly Rule[] = rulesOf('schedules', {
  'a tick gives one job, whichever of several processes fires it': async (scene) => {
    const processes = await start(scene, [each()], 3)
    for (let tick = 0; tick < 5; tick += 1) {
      await pass(scene)
      await Promise.all(processes.map((one) => one.fire()))
    }
    const planned = (await ticks(scene)).map(({ at }) => at)
    const [first = 0] = planned
    assert.equal(first % minute, 0)
    assert.deepEqual(
      planned,
      [0, 1, 2, 3, 4].map((n) => first + n * minute),
    )
    assert.equal((await processes[0]!.schedules.get('each')).fired, 5)
  },

  'a new schedule fires nothing from the past': async (scene) => {
    const [one] = await start(scene, [each()], 1)
    await one!.fire()
    assert.deepEqual(await ticks(scene), [])
  },

  'what was missed: the latest, the first, all or none of the window, and at most so many': async (
    scene,
  ) => {
    const [one] = await start(
      scene,
      [
        each({ name: 'latest' }),
        each({ name: 'first', missed: 'first' }),
        each({ name: 'all', missed: 'all' }),
        each({ name: 'skip', missed: 'skip' }),
        each({ name: 'window', missed: 'all', window: '3m' }),
        each({ name: 'limit', missed: 'all', limit: 2 }),
        each({ name: 'own', missed: (due) => due.slice(1, 3) }),
      ],
      1,
    )
    for (let n = 0; n < 9; n += 1) await pass(scene)
    await one!.fire()
    const fired = Map.groupBy(await ticks(scene), ({ name }) => name)
    const begin = Math.min(...(fired.get('all') ?? []).map(({ at }) => at))
    const minutes = (name: string): number[] =>
      (fired.get(name) ?? []).map(({ at }) => (at - begin) / minute)
    assert.deepEqual(minutes('all'), [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert.deepEqual(minutes('latest'), [8])
    assert.deepEqual(minutes('first'), [0])
    assert.deepEqual(minutes('skip'), [8])
    assert.deepEqual(minutes('window'), [6, 7, 8])
    assert.deepEqual(minutes('limit'), [0, 1])
    assert.deepEqual(minutes('own'), [1, 2])
    await pass(scene)
    await one!.fire()
    const next = Map.groupBy(await ticks(scene), ({ name }) => name)
    assert.equal(next.get('latest')?.length, 2)
    assert.equal(next.get('skip')?.length, 2)
    assert.equal(next.get('limit')?.length, 2)
  },

  'overlap skip: a tick is left out while the job before it has not ended': async (scene) => {
    const [one] = await start(scene, [each({ overlap: 'skip' })], 1)
    const fire = firing(scene, one!)
    await fire()
    const running = await scene.claimOne()
    await fire()
    assert.equal((await ticks(scene)).length, 1)
    const { last } = await one!.schedules.get('each')
    assert.deepEqual(
      last.map(({ state }) => state),
      ['running', 'skipped'],
    )
    await scene.settle(finish(running))
    await fire()
    assert.deepEqual(await states(scene), ['completed', 'ready'])
  },

  'overlap queue: each tick waits for those before it, even if one in between is cancelled': async (
    scene,
  ) => {
    const [one] = await start(scene, [each({ overlap: 'queue' })], 1)
    const fire = firing(scene, one!)
    await fire()
    const running = await scene.claimOne()
    await fire()
    await fire()
    assert.deepEqual(await states(scene), ['running', 'blocked', 'blocked'])
    const [, second] = await ticks(scene)
    await scene.store.cancel([second!.job.id], null)
    assert.deepEqual(await states(scene), ['running', 'cancelled', 'blocked'])
    await scene.settle(finish(running))
    assert.deepEqual(await states(scene), ['completed', 'cancelled', 'ready'])
  },

  'overlap queue-one: one tick waits, others are left out': async (scene) => {
    const [one] = await start(scene, [each({ overlap: 'queue-one' })], 1)
    const fire = firing(scene, one!)
    await fire()
    const first = await scene.claimOne()
    await fire()
    await fire()
    assert.deepEqual(await states(scene), ['running', 'blocked'])
    await scene.settle(finish(first))
    const second = await scene.claimOne()
    await fire()
    assert.deepEqual(await states(scene), ['completed', 'running', 'blocked'])
    await scene.settle(finish(second))
    assert.deepEqual(await states(scene), ['completed', 'completed', 'ready'])
  },

  'overlap cancel: the job before is cancelled, and the tick waits for its end': async (scene) => {
    const [one] = await start(scene, [each({ overlap: 'cancel' })], 1)
    const fire = firing(scene, one!)
    await fire()
    const running = await scene.claimOne()
    await fire()
    assert.deepEqual(await states(scene), ['running', 'blocked'])
    assert.ok((await scene.job(running.id)).cancelAsked)
    await fire()
    assert.deepEqual(await states(scene), ['running', 'cancelled', 'blocked'])
    await scene.settle(finish(running, { state: 'cancelled', reason: 'overlap' }))
    assert.deepEqual(await states(scene), ['cancelled', 'cancelled', 'ready'])
  },

  'a schedule that pauses on failure fires no more once a job of it has failed': async (scene) => {
    const [one] = await start(scene, [each({ pauseOnFailure: true })], 1)
    const fire = firing(scene, one!)
    await fire()
    const job = await scene.claimOne()
    await scene.settle(
      finish(job, {
        state: 'failed',
        reason: 'error',
        counters: counted({ attempts: 1, failures: 1 }),
      }),
    )
    await fire()
    await fire()
    assert.equal((await ticks(scene)).length, 1)
    assert.match((await one!.schedules.get('each')).paused?.note ?? '', /failed/)
    await one!.schedules.resume('each')
    await fire()
    assert.equal((await ticks(scene)).length, 2)
  },

  'a paused schedule fires nothing, and makes nothing up when it is resumed': async (scene) => {
    const [one, other] = await start(scene, [each({ missed: 'all' })], 2)
    await one!.schedules.pause('each', 'for a while')
    for (let n = 0; n < 3; n += 1) {
      await pass(scene)
      await Promise.all([one!.fire(), other!.fire()])
    }
    assert.deepEqual(await ticks(scene), [])
    await one!.schedules.resume('each')
    await Promise.all([one!.fire(), other!.fire()])
    assert.deepEqual(await ticks(scene), [])
    await pass(scene)
    await Promise.all([one!.fire(), other!.fire()])
    assert.equal((await ticks(scene)).length, 1)
  },

  'a tick that is fired by hand, and ticks that are made up, disturb no other': async (scene) => {
    const [one] = await start(scene, [each()], 1)
    const fire = firing(scene, one!)
    await fire()
    const [first] = await ticks(scene)
    const id = await one!.schedules.trigger('each')
    assert.equal((await scene.job(id)).state, 'ready')
    const range = { from: new Date(first!.at - 2 * minute), to: new Date(first!.at) }
    const made = await one!.schedules.backfill('each', range)
    assert.equal(made.length, 2)
    assert.deepEqual(await one!.schedules.backfill('each', range), [])
    await fire()
    assert.equal((await ticks(scene)).length, 5)
  },

  'what runs before a task is stored with each tick, and holds it back': async (scene) => {
    const [one, other] = await start(scene, [each({ before: [ticked], overlap: 'queue' })], 2)
    for (let n = 0; n < 2; n += 1) {
      await pass(scene)
      await Promise.all([one!.fire(), other!.fire()])
    }
    const { jobs } = await scene.picture()
    const ticksOfAll = jobs.filter(({ options }) => readTick(options) !== undefined)
    assert.deepEqual([jobs.length, ticksOfAll.length], [4, 2])
    assert.ok(ticksOfAll.every(({ state }) => state === 'blocked'))
    const order: string[] = []
    for (let n = 0; n < 4; n += 1) {
      const job = await scene.claimOne()
      order.push(readTick(job.options) === undefined ? 'before' : 'tick')
      await scene.settle(finish(job))
    }
    assert.deepEqual(order, ['before', 'tick', 'before', 'tick'])
  },

  "an operator's edit holds until the code changes, and loses and repeats no tick": async (
    scene,
  ) => {
    const [one] = await start(scene, [each()], 1)
    const fire = firing(scene, one!)
    await fire()
    const edited = await one!.schedules.put(each({ input: { n: 2 } }))
    assert.ok(edited.edited)
    const restarted = new ScheduleProcess(scene.store, [each()])
    await restarted.start()
    await firing(scene, restarted)()
    assert.ok((await restarted.schedules.get('each')).edited)
    const changed = new ScheduleProcess(scene.store, [each({ input: { n: 3 } })])
    await changed.start()
    await firing(scene, changed)()
    assert.ok(!(await changed.schedules.get('each')).edited)
    const fired = await ticks(scene)
    assert.deepEqual(
      fired.map(({ job }) => job.input),
      ['{"n":1}', '{"n":2}', '{"n":3}'],
    )
    const [first] = fired
    assert.deepEqual(
      fired.map(({ at }) => (at - first!.at) / minute),
      [0, 1, 2],
    )
    const rarely = await changed.schedules.put(each({ every: '1h' }))
    assert.equal(rarely.next?.getTime(), Math.ceil((await scene.now()) / hour) * hour)
  },

  'a schedule is removed for good, unless living code declares it': async (scene) => {
    const [one] = await start(scene, [each()], 1)
    await one!.schedules.put(each({ name: 'other' }))
    await one!.schedules.remove('other')
    await assert.rejects(one!.schedules.get('other'), (error) =>
      isErrandError(error, 'unknown-schedule'),
    )
    await assert.rejects(one!.schedules.remove('each'), /declared by code that runs now/)
    await one!.beat(true)
    await one!.schedules.remove('each')
    await firing(scene, one!)()
    assert.deepEqual(await ticks(scene), [])
  },

  'a process that dies before or after any of its calls loses and doubles no tick': async (
    scene,
  ) => {
    const schedules = [
      each({ name: 'allow', missed: 'all' }),
      each({ name: 'queue', missed: 'all', overlap: 'queue' }),
      each({ name: 'cancel', missed: 'all', overlap: 'cancel' }),
    ]
    const [heir] = await start(scene, schedules, 1)
    const [watched] = await scene.clients(1)
    let rounds = 0
    for (let dead = true; dead; rounds += 1) {
      const calls = Math.floor(rounds / 2)
      const store = dying(watched!, calls, rounds % 2 === 0 ? 'before' : 'after')
      const victim = new ScheduleProcess(store, schedules, 'victim')
      await victim.start().catch(() => undefined)
      await pass(scene)
      dead = await victim.fire().then(
        () => false,
        () => true,
      )
      await heir!.fire()
    }
    assert.ok(rounds > 8, `it died ${rounds} times only`)
    const found = Map.groupBy(await ticks(scene), ({ name }) => name)
    for (const { name } of schedules) {
      const times = (found.get(name) ?? []).map(({ at }) => at)
      const [first = 0] = times
      assert.deepEqual(
        times,
        times.map((_, n) => first + n * minute),
        name,
      )
      assert.equal(times.length, rounds, name)
    }
  },

  'a thousand schedules that are due fire at once, each once': async (scene) => {
    const many = Array.from({ length: 1_000 }, (_, n) => each({ name: `each-${n}`, missed: 'all' }))
    const [one, other] = await start(scene, many, 2)
    await pass(scene)
    await Promise.all([one!.fire(), other!.fire()])
    const ready = (await scene.store.counts()).find(({ state }) => state === 'ready')
    assert.equal(ready?.count, 1_000)
  },
})

function each(
  over: Partial<TaskScheduleOptions<typeof ticked>> & {
    readonly input?: { readonly n: number }
  } = {},
): Schedule {
  return schedule({ name: 'each', task: ticked, input: { n: 1 }, every: '1m', ...over })
}

/** Starts processes of the same code, five seconds after a tick. */
async function start(
  scene: Scene,
  schedules: readonly Schedule[],
  count: number,
): Promise<ScheduleProcess[]> {
  const now = await scene.now()
  await scene.advance(minute - (now % minute) + 5_000)
  const stores = [scene.store, ...(await scene.clients(count - 1))]
  const processes = stores.map((store, n) => new ScheduleProcess(store, schedules, `process-${n}`))
  for (const one of processes) await one.start()
  return processes
}

/** A client whose process dies at a call, before it reaches the store or after it was carried out. */
function dying(store: Store, calls: number, when: 'before' | 'after'): Store {
  let left = calls
  const dies = async (call: () => Promise<unknown>): Promise<unknown> => {
    if (left < 0) throw new Error('the process is dead')
    left -= 1
    if (left < 0 && when === 'before') throw new Error('the process dies')
    const answer = await call()
    if (left < 0) throw new Error('the process dies')
    return answer
  }
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>
      return name in storeCalls ? (...args: unknown[]) => dies(() => method(...args)) : method
    },
  })
}

/** Lets one tick pass. */
function pass(scene: Scene): Promise<void> {
  return scene.advance(minute)
}

function firing(scene: Scene, process: ScheduleProcess): () => Promise<void> {
  return async () => {
    await pass(scene)
    await process.fire()
  }
}

interface TickedJob {
  readonly name: string
  readonly at: number
  readonly job: StoredJob
}

/** The jobs of ticks by their planned times. */
async function ticks(scene: Scene): Promise<readonly TickedJob[]> {
  const { jobs } = await scene.picture()
  const found = jobs.map((job): TickedJob => {
    const tick = readTick(job.options)
    assert.ok(tick, `job ${job.id} is no tick`)
    return { name: tick.schedule, at: tick.plannedAt, job }
  })
  return found.toSorted((a, b) => a.at - b.at)
}

async function states(scene: Scene): Promise<readonly string[]> {
  return (await ticks(scene)).map(({ job }) => job.state)
}

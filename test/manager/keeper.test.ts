import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createErrand, ErrandError, isErrandError, schedule, task, type Store } from 'errand'
import { memory } from 'errand/memory'
import { VirtualClock } from 'errand/testing'

const sweep = task({ name: 'sweep', retention: '1m', run: () => 'swept' })

interface Made {
  readonly clock: VirtualClock
  readonly store: Store
  readonly errand: ReturnType<typeof createErrand>
  readonly called: Date[]
}

function make(): Made {
  const clock = new VirtualClock()
  const store = memory({ clock })
  const called: Date[] = []
  const errand = createErrand({
    store,
    tasks: [sweep],
    schedules: [
      schedule({ name: 'often', task: sweep, every: '10s' }),
      schedule({
        name: 'called',
        every: '10s',
        run: ({ plannedAt }) => void called.push(plannedAt),
      }),
    ],
  })
  return { clock, store, errand, called }
}

test('a keeper fires schedules, and is listed without slots', async () => {
  const { clock, errand, called } = make()
  const keeper = errand.keeper()
  await keeper.start()
  await clock.advance(25_000)
  const { jobs } = await errand.jobs.list({ task: 'sweep' })
  assert.deepEqual(
    jobs.map(({ state }) => state),
    ['ready', 'ready'],
  )
  assert.equal(called.length, 2)
  const [listed, ...others] = await errand.workers.list()
  assert.deepEqual(others, [])
  assert.equal(listed?.id, keeper.id)
  assert.deepEqual([listed?.slots, listed?.queues, listed?.state], [0, [], 'running'])
  await keeper.stop()
  assert.equal((await errand.workers.list())[0]?.state, 'stopped')
  await clock.advance(60_000)
  assert.equal((await errand.jobs.list({ task: 'sweep' })).jobs.length, 2)
  await errand.close()
})

test('a keeper removes what is over its time, and runs and rescues nothing', async () => {
  const { clock, store, errand } = make()
  const { id } = await errand.enqueue(sweep, undefined, { inline: true })
  assert.equal((await errand.jobs.get(id))?.state, 'completed')
  const claim = { worker: 'gone', others: 0, limit: 1, leaseMs: 1_000, maxLosses: null, id: null }
  await errand.enqueue(sweep)
  await store.claim({ ...claim, queues: [{ name: 'default', limit: 1 }] })
  const keeper = errand.keeper()
  await keeper.start()
  await clock.advance(120_000)
  assert.equal(await errand.jobs.get(id), null)
  const { jobs } = await errand.jobs.list({ state: ['running', 'completed'] })
  assert.deepEqual(
    jobs.map(({ state }) => state),
    ['running'],
  )
  await errand.close()
})

test('a keeper whose store is away starts when it is there', async () => {
  const { clock, store, errand } = make()
  const tend = store.tend.bind(store)
  let tries = 0
  store.tend = async () => {
    tries++
    throw new ErrandError('store-unavailable', 'nothing listens there')
  }
  const failed: string[] = []
  errand.on('part-failed', ({ part }) => failed.push(part))
  const keeper = errand.keeper()
  const started = keeper.start()
  await clock.advance(20_000)
  assert.ok(tries >= 4 && tries <= 40, `${tries} tries`)
  assert.deepEqual(new Set(failed), new Set(['keeper']))
  store.tend = async (worker) => tend(worker)
  await clock.advance(5_000)
  await started
  assert.equal((await errand.workers.list())[0]?.state, 'running')
  await errand.close()
  assert.throws(
    () => errand.keeper(),
    (error) => isErrandError(error, 'closed'),
  )
})

test('a keeper stops while its store is away, and starts once', async () => {
  const { clock, store, errand } = make()
  const away = new ErrandError('store-unavailable', 'nothing listens there')
  store.tend = () => Promise.reject(away)
  const keeper = errand.keeper()
  const started = keeper.start()
  await clock.advance(1_000)
  const stopped = keeper.stop()
  await clock.advance(1_000)
  await stopped
  await started
  await assert.rejects(keeper.start(), (error) => isErrandError(error, 'closed'))
  await errand.close()
})

test('a keeper with a schedule that cannot be does not start', async () => {
  const errand = createErrand({
    store: memory(),
    schedules: [schedule({ name: 'lost', task: 'nobody', every: '10s' })],
  })
  await assert.rejects(errand.keeper().start(), (error) => isErrandError(error, 'unknown-task'))
  await errand.close()
})

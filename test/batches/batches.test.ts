/** Batches and starts in many steps on every store: large ones end once, and a start that dies anywhere leaves nothing. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, suite, test } from 'node:test'
import { startPatienceMs } from '../../src/app/start-gate.ts'
import { createErrand, Discard, task, type BatchEnd, type Errand } from '../../src/index.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import type { StoreFixture } from '../../src/testing/conformance/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { drain } from '../../src/testing/drain.ts'
import { postgresHarness } from '../postgres-harness.ts'
import { findPostgres } from '../postgres-server.ts'
import { redisHarness } from '../redis-harness.ts'
import { findRedis } from '../redis-server.ts'

const large = 2_500
/** A batch of few jobs that takes several steps, since their inputs are large. */
const small = 150
const padding = 'x'.repeat(20_000)
const idStart = '0198c5d4-0000-7000-8000-0000000ba7'

const told: BatchEnd[] = []
const member = task({
  name: 'member',
  retry: 'never',
  run({ n }: { n: number; padding?: string }) {
    if (n % 500 === 1) throw new Error('no')
    if (n % 500 === 2) throw new Discard('nothing to do')
  },
})
const report = task({ name: 'report', run: (ended: BatchEnd) => void told.push(ended) })

/** A place of jobs that several clients open, whose time is moved. */
interface Place {
  open(): Promise<Store>
  advance(ms: number): Promise<unknown>
  close(): Promise<void>
}

const makers: Readonly<Record<string, () => Promise<Place>>> = {
  async memory() {
    const clock = new VirtualClock()
    const database = new MemoryDatabase()
    return {
      open: async () => memory({ clock, database }),
      advance: (ms) => clock.advance(ms),
      close: async () => undefined,
    }
  },
  async sqlite() {
    const clock = new VirtualClock()
    const folder = await mkdtemp(join(tmpdir(), 'errand-batches-'))
    return {
      open: async () => sqlite(join(folder, 'jobs.db'), { clock }),
      advance: (ms) => clock.advance(ms),
      close: () => rm(folder, { recursive: true }),
    }
  },
}

const postgres = await findPostgres()
if (postgres !== null) {
  const harness = await postgresHarness(postgres.url)
  after(() => harness.close().then(() => postgres.stop()))
  Object.assign(makers, { postgres: () => placeOf(harness.create()) })
}
const redis = await findRedis()
if (redis !== null) {
  after(() => redis.stop())
  Object.assign(makers, { redis: () => placeOf(redisHarness([redis.url]).create()) })
}

async function placeOf(made: Promise<StoreFixture>): Promise<Place> {
  const fixture = await made
  return {
    open: () => fixture.another(),
    advance: (ms) => fixture.advance(ms),
    close: () => fixture.dispose(),
  }
}

for (const [name, make] of Object.entries(makers)) {
  suite(name, () => {
    test('a batch of 2,500 ends once, and its callback is told how', async (t) => {
      told.length = 0
      const place = await make()
      const errand = appOn(await place.open())
      t.after(() => errand.close().then(() => place.close()))
      const run = await errand.batch(entries(large), { onEnd: report })
      const cancelled = (await errand.jobs.list({ group: run.id, task: 'member', limit: 1 })).jobs
      assert.deepEqual(await errand.jobs.cancel(cancelled[0]?.id ?? ''), { cancelled: 1 })
      await drain(errand, { slots: 50, timeout: '120s' })
      const expected = { completed: large - 11, failed: 5, cancelled: 1, discarded: 5 }
      assert.deepEqual(told, [{ id: run.id, total: large, ...expected }])
      assert.deepEqual((await run.status())?.counts, expected)
      await nothingWaits(errand)
    })

    test('a start that dies between any two calls is taken back, goes on when repeated in time, and ends once', async (t) => {
      told.length = 0
      const place = await make()
      const errand = appOn(await place.open())
      t.after(() => errand.close().then(() => place.close()))
      const options = (own: string): object => ({ id: own, onEnd: report })
      const start = async (own: string, calls: number): Promise<boolean> => {
        const dying = appOn(dyingAfter(await place.open(), calls))
        const hasStarted = await dying.batch(entries(small, padding), options(own)).then(
          () => true,
          () => false,
        )
        await dying.close()
        return hasStarted
      }
      const ids: string[] = []
      let isWhole = false
      while (!isWhole) {
        const own = `${idStart}${(ids.length + 10).toFixed()}`
        isWhole = await start(own, ids.length)
        ids.push(own)
      }
      assert.ok(ids.length > 4, 'it took several calls')
      const repeated = `${idStart}00`
      assert.equal(await start(repeated, 4), false)
      await errand.batch(entries(small, padding), options(repeated))

      await place.advance(startPatienceMs + 1)
      await drain(errand, { timeout: '120s' })
      await nothingWaits(errand)
      assert.deepEqual(toldOf(), [repeated, ids.at(-1)])

      // One that was taken back is made anew, the whole one is known.
      const again = [ids[3] ?? '', ids.at(-1) ?? '']
      for (const own of again) await errand.batch(entries(small, padding), options(own))
      await drain(errand, { timeout: '120s' })
      await nothingWaits(errand)
      assert.deepEqual(toldOf(), [repeated, ...again])
      assert.ok(told.every(({ total, cancelled }) => total === small && cancelled === 0))
    })
  })
}

test('a batch in a transaction of the user is there if that commits', async (t) => {
  told.length = 0
  const folder = await mkdtemp(join(tmpdir(), 'errand-batches-'))
  const file = join(folder, 'jobs.db')
  const errand = appOn(sqlite(file))
  await errand.store.setup?.()
  const own = new DatabaseSync(file)
  t.after(async () => {
    own.close()
    await errand.close()
    await rm(folder, { recursive: true })
  })
  for (const end of ['ROLLBACK', 'COMMIT']) {
    own.exec('BEGIN IMMEDIATE')
    await errand.batch(entries(300), { tx: own, onEnd: report })
    own.exec(end)
  }
  await drain(errand)
  assert.deepEqual(
    told.map(({ total }) => total),
    [300],
  )
  await nothingWaits(errand)
})

/** The batches whose callbacks ran, each as often as it did. */
function toldOf(): readonly string[] {
  return told.map(({ id }) => id).toSorted()
}

function appOn(store: Store): Errand {
  return createErrand({ store, tasks: [member, report] })
}

function entries(
  count: number,
  filler = '',
): readonly (readonly [typeof member, { n: number; padding: string }])[] {
  return Array.from({ length: count }, (_, n) => [member, { n, padding: filler }] as const)
}

/** A client that dies once it has made so many calls: whatever it asks for after that is not carried out. */
function dyingAfter(store: Store, calls: number): Store {
  let made = 0
  for (const name of ['insert', 'getRecords', 'putRecords', 'get', 'list', 'remove'] as const) {
    const call = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>
    const dies = (...args: unknown[]): Promise<unknown> => {
      made += 1
      return made > calls ? Promise.reject(new Error('dead')) : call(...args)
    }
    Object.assign(store, { [name]: dies })
  }
  return store
}

async function nothingWaits(errand: Errand): Promise<void> {
  const waiting = (await errand.store.counts()).filter(
    ({ state, count }) => count > 0 && ['blocked', 'scheduled', 'ready', 'running'].includes(state),
  )
  assert.deepEqual(waiting, [])
}

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createErrand, task, type Errand } from '../../src/index.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { faulty, type Faulty } from './faulty.ts'
import { newFile } from './harness.ts'

const short = task({ name: 'short', retention: '1s', run: () => 'x'.repeat(100) })

interface Made {
  readonly clock: VirtualClock
  readonly counted: Faulty
  readonly errand: Errand
  /** Runs so many jobs inline, then lets what goes on behind them end. */
  readonly run: (count: number) => Promise<readonly string[]>
}

/** An app without workers, on memory. */
function withoutWorkers(t: TestContext): Made {
  const clock = new VirtualClock()
  const counted = faulty(memory({ clock, database: new MemoryDatabase() }))
  const errand = createErrand({ store: counted.store, tasks: [short] })
  t.after(() => errand.close())
  const run = async (count: number): Promise<readonly string[]> => {
    const ids: string[] = []
    for (let n = 0; n < count; n++) {
      ids.push((await errand.enqueue(short, undefined, { inline: true })).id)
    }
    await clock.advance(1_000)
    return ids
  }
  return { clock, counted, errand, run }
}

test('memory: a process that runs jobs inline prunes now and then, though it has no worker', async (t) => {
  const { clock, errand, run } = withoutWorkers(t)
  await run(50)
  await clock.advance(10_000)
  const ids = await run(3)
  const { jobs } = await errand.jobs.list()
  assert.deepEqual(jobs.map(({ id }) => id).toSorted(), ids.toSorted())
})

test('sqlite: a short program that runs one job inline leaves none behind that has outlived its retention', async (t) => {
  const file = newFile(t)
  const brief = task({ name: 'brief', retention: '1ms', run: () => 1 })
  for (let n = 0; n < 3; n++) {
    const errand = createErrand({ store: sqlite(file), tasks: [brief] })
    await errand.enqueue(brief, undefined, { inline: true })
    await errand.close()
  }
  const after = createErrand({ store: sqlite(file), tasks: [brief] })
  assert.ok((await after.jobs.list()).jobs.length <= 1)
  await after.close()
})

test('rounds of pruning come at most each 5 s', async (t) => {
  const { clock, counted, run } = withoutWorkers(t)
  await run(20)
  assert.equal(counted.calls.get('prune'), 1)
  await clock.advance(3_000)
  await run(20)
  assert.equal(counted.calls.get('prune'), 1)
  await clock.advance(1_000)
  await run(20)
  assert.equal(counted.calls.get('prune'), 2)
})

test('a prune that hangs or fails keeps nobody waiting, neither for a run nor at close beyond its bound', async (t) => {
  const { clock, counted, errand, run } = withoutWorkers(t)
  const warnings: string[] = []
  errand.on('warning', ({ code }) => warnings.push(code))
  counted.fault = (call) => (call === 'prune' ? new Error('the disk is full') : null)
  await run(1)
  assert.deepEqual(warnings, ['pruning-failed'])
  counted.fault = (call) => (call === 'prune' ? 'hang' : null)
  await clock.advance(5_000)
  await run(2)
  let isClosed = false
  void errand.close().then(() => (isClosed = true))
  await clock.advance(9_000)
  assert.equal(isClosed, false)
  await clock.advance(2_000)
  assert.equal(isClosed, true)
})

/** Charts: what workers write of their runs, merged when it is read. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task } from 'errand'
import { manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { EventHub, type Events } from '../../src/observe/events.ts'
import { historyKey, historyPrefix, writeRuns } from '../../src/observe/history/format.ts'
import { readHistory } from '../../src/observe/history/read.ts'
import { HistoryRecorder } from '../../src/observe/history/recorder.ts'
import { runTallies } from '../../src/observe/run-tallies.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

const minute = 60_000
const hour = 60 * minute

function run(over: Partial<Events['run-ended']> = {}): Events['run-ended'] {
  return {
    worker: 'w',
    id: 'x',
    task: 'mail',
    queue: 'mails',
    attempt: 1,
    outcome: 'completed',
    durationMs: 3,
    waitMs: 100,
    totalMs: 103,
    error: undefined,
    againMs: null,
    ...over,
  }
}

/** A recorder on a store in memory, at a time that is set by hand. */
function recorded(worker = 'w') {
  const events = new EventHub()
  const store = memory()
  const at = { now: 1_000 * hour }
  const recorder = new HistoryRecorder(worker, () => at.now)
  recorder.start(events)
  const write = async (times = 1): Promise<void> => {
    const writes = recorder.writes('the-end')
    for (let n = 0; n < times; n++) await store.putRecords(writes)
    recorder.written(writes)
  }
  const read = async (by: 'minute' | 'hour' = 'minute') =>
    readHistory(store, { by, from: 0, to: Number.MAX_SAFE_INTEGER })
  return { events, store, at, recorder, write, read }
}

test('a write that is repeated changes nothing, and later ones replace it', async () => {
  const { events, write, read } = recorded()
  for (let n = 0; n < 3; n++) events.emit('run-ended', run())
  await write(3)
  events.emit('run-ended', run({ outcome: 'failed', waitMs: null, durationMs: 90 }))
  await write(2)
  for (const by of ['minute', 'hour'] as const) {
    const [point, ...others] = await read(by)
    assert.deepEqual(others, [])
    assert.deepEqual(point?.runs, [
      {
        queue: 'mails',
        task: 'mail',
        ended: { completed: 3, failed: 1 },
        losses: 0,
        wait: { count: 3, sumMs: 300, p50Ms: 128, p90Ms: 128, p99Ms: 128 },
        run: { count: 4, sumMs: 99, p50Ms: 4, p90Ms: 128, p99Ms: 128 },
      },
    ])
  }
})

test('minutes of several workers are merged, each minute is a point, and an hour holds all of its minutes', async () => {
  const one = recorded('one')
  const events = new EventHub()
  const other = new HistoryRecorder('other', () => one.at.now)
  other.start(events)
  for (let n = 0; n < 3; n++) {
    one.events.emit('run-ended', run())
    events.emit('run-ended', run())
    one.at.now += minute
  }
  await one.write()
  await one.store.putRecords(other.writes('the-end'))
  const minutes = await one.read()
  assert.deepEqual(
    minutes.map(({ at, runs }) => [at, runs[0]?.ended.completed]),
    [0, 1, 2].map((n) => [1_000 * hour + n * minute, 2]),
  )
  const [whole] = await one.read('hour')
  assert.equal(whole?.runs[0]?.ended.completed, 6)
})

test('a clock that jumps loses and repeats nothing', async () => {
  const { events, at, write, read } = recorded()
  const jumps = [0, 5 * hour, -5 * hour, -minute, 1, minute, -3 * hour, 24 * hour]
  for (const jump of jumps) {
    at.now += jump
    events.emit('run-ended', run())
    await write()
    events.emit('run-ended', run())
  }
  await write()
  for (const by of ['minute', 'hour'] as const) {
    const sum = (await read(by)).reduce((all, { runs }) => all + (runs[0]?.ended.completed ?? 0), 0)
    assert.equal(sum, 2 * jumps.length, by)
  }
})

test('of 100,000 queues the 200 with most runs have a name, and the text is small', async () => {
  const { events, recorder, read, write } = recorded()
  for (let n = 0; n < 100_000; n++) events.emit('run-ended', run({ queue: `once-${n}` }))
  for (let n = 0; n < 50; n++) events.emit('run-ended', run({ queue: `once-900` }))
  const [{ text } = { text: null }] = recorder.writes('now')
  assert.ok((text?.length ?? 0) < 100_000, `${text?.length}`)
  await write()
  const [point] = await read()
  const { length } = point?.runs ?? []
  assert.ok(length <= 201, `${length} rows`)
  const found = new Map(point?.runs.map(({ queue, ended }) => [queue, ended.completed]))
  assert.equal(found.get('once-900'), 51)
  assert.equal(
    [...found.values()].reduce((sum = 0, one = 0) => sum + one, 0),
    100_050,
  )
  assert.ok((found.get('other') ?? 0) > 99_000)
})

test('while the store is away an hour of minutes is kept, no more', () => {
  const { events, at, recorder } = recorded()
  for (let n = 0; n < 500; n++) {
    at.now += minute
    events.emit('run-ended', run())
  }
  assert.ok(recorder.writes('now').length <= 61)
})

/** An app in memory whose time is moved by hand. */
async function app(config: { history?: boolean } = {}) {
  const clock = new VirtualClock()
  const store = memory({ clock })
  const mail = task({ name: 'mail', queue: 'mails', run: () => undefined })
  const errand = createErrand({ store, tasks: [mail], ...config })
  const worker = errand.worker()
  await during(clock, worker.start())
  const keys = async (prefix: string): Promise<readonly string[]> =>
    (await store.listRecords({ prefix, after: null, limit: 5_000 })).map(({ key }) => key)
  return { clock, errand, mail, store, keys, worker }
}

/** Lets time pass until something has come. */
async function during<T>(clock: VirtualClock, coming: Promise<T>): Promise<T> {
  const isOver = coming.then(() => true)
  while (!(await Promise.race([isOver, clock.advance(100).then(() => false)])));
  return coming
}

async function runOne({ errand, mail, clock }: Awaited<ReturnType<typeof app>>): Promise<void> {
  const job = await errand.enqueue(mail)
  await during(clock, job.result({ timeout: '1m' }))
}

test('a worker writes charts, and stats reads them', async () => {
  const one = await app()
  const { clock, errand, mail } = one
  try {
    await runOne(one)
    await errand.enqueue(mail, undefined, { delay: '1h' })
    await clock.advance(120_000)
    const { history, queues } = await errand.stats({ by: 'minute' })
    const ended = history.flatMap(({ runs }) => runs).map(({ queue, ended: of }) => [queue, of])
    assert.deepEqual(ended, [['mails', { completed: 1 }]])
    assert.deepEqual(queues[0]?.counts, { completed: 1, scheduled: 1 })
    const depths = history.flatMap((point) => point.queues)
    assert.deepEqual([depths[0]?.queue, depths[0]?.scheduled], ['mails', 1])
    assert.equal((await errand.stats({ by: 'hour' })).history.length, 1)
    assert.deepEqual((await errand.stats()).history, [])
    await assert.rejects(errand.stats({ from: new Date() }), /needs by/)
  } finally {
    await during(clock, errand.close())
  }
})

test('what is too old is removed, and an app may keep no charts at all', async () => {
  const one = await app()
  const { clock, errand, store, keys } = one
  const without = await app({ history: false })
  try {
    const old = (by: 'minute' | 'hour', days: number): string => {
      const spanMs = by === 'minute' ? minute : hour
      return historyKey(by, Math.floor((clock.now() - days * 24 * hour) / spanMs), 'w')
    }
    const text = writeRuns(runTallies())
    const gone = [old('minute', 3), old('hour', 40)]
    const kept = [old('minute', 1), old('hour', 20)]
    await store.putRecords([...gone, ...kept].map((key) => ({ key, text })))
    await clock.advance(600_000)
    await runOne(one)
    await clock.advance(60_000)
    const found = [...(await keys(historyPrefix('minute'))), ...(await keys(historyPrefix('hour')))]
    assert.deepEqual(
      gone.filter((key) => found.includes(key)),
      [],
    )
    assert.deepEqual(
      kept.filter((key) => !found.includes(key)),
      [],
    )
    await runOne(without)
    await without.clock.advance(120_000)
    assert.deepEqual(await without.keys('history/'), [])
  } finally {
    await during(clock, errand.close())
    await during(without.clock, without.errand.close())
  }
})

test('over HTTP the charts are read by /v1/stats', async () => {
  const one = await app()
  const { clock, errand } = one
  try {
    await runOne(one)
    await clock.advance(60_000)
    const { fetch: ask } = manager(errand, { access: 'open' })
    const answer = await ask(new Request('http://local/v1/stats?by=minute'))
    const { history } = (await answer.json()) as { history: { runs: { task: string }[] }[] }
    assert.equal(history[0]?.runs[0]?.task, 'mail')
    const wrong = await ask(new Request('http://local/v1/stats?by=day'))
    assert.equal(wrong.status, 400)
  } finally {
    await during(clock, errand.close())
  }
})

test('a stop writes what is left, and what something else wrote is passed over', async () => {
  const one = await app()
  const { clock, errand, store, worker } = one
  await runOne(one)
  await during(clock, worker.stop())
  await store.putRecords([
    { key: historyKey('minute', Math.floor(clock.now() / minute), 'stranger'), text: '{"v":9}' },
    { key: historyKey('minute', Math.floor(clock.now() / minute), 'stranger2'), text: 'no json' },
  ])
  const { history } = await errand.stats({ by: 'minute' })
  assert.equal(history[0]?.runs[0]?.ended.completed, 1)
  await during(clock, errand.close())
})

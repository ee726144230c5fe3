/** Singletons whose rounds begin at the ticks of a cron text. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ticksOf, readWhen } from '../../src/flows/schedules/ticks.ts'
import type { RunParts } from '../../src/singleton/loop.ts'
import { singleton } from '../../src/singleton/singleton.ts'
import { readSettings } from '../../src/singleton/settings.ts'
import { TickBook } from '../../src/singleton/tick-book.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { LoopProcess, untilAborted } from './loop-process.ts'
import { ToyServer } from './toy-locks.ts'

const minute = 60_000
const when = readWhen({ cron: '* * * * *' }, 'test', 'UTC')

/** Machines that share a store, a lock server and the time of day. */
class Machines {
  readonly clock = new VirtualClock()
  readonly server = new ToyServer()
  readonly #database = new MemoryDatabase()
  readonly #t: TestContext

  constructor(t: TestContext) {
    this.#t = t
  }

  start(
    run: ConstructorParameters<typeof LoopProcess>[3],
    change: ConstructorParameters<typeof LoopProcess>[2] = {},
  ): LoopProcess {
    const store = memory({ clock: this.clock, database: this.#database })
    const book = new TickBook(store, 'reports', ticksOf(when))
    const pace = { kind: 'cron', when } as const
    return new LoopProcess(this.#t, this.server, { pace, ...change }, run, this.clock, book)
  }
}

for (const keepLock of [false, true])
  test(`each tick is one round, whoever of several runs it${keepLock ? ', with keepLock' : ''}`, async (t) => {
    const machines = new Machines(t)
    const begun: number[] = []
    const all = [0, 1, 2].map(() =>
      machines.start(() => void begun.push(machines.clock.now()), { keepLock }),
    )
    await machines.clock.advance(minute - 1)
    assert.deepEqual(begun, [])
    for (let tick = 1; tick <= 4; tick += 1) {
      await machines.clock.advance(tick === 1 ? 1 : minute)
      await all[0]!.until(() => begun.length >= tick)
    }
    assert.deepEqual(
      begun.map((at) => at % minute),
      [0, 0, 0, 0],
    )
    assert.equal(new Set(begun).size, 4)
    await machines.clock.advance(minute - 1)
    assert.equal(begun.length, 4)
  })

test('a tick at which a round still runs is left out, by all processes', async (t) => {
  const machines = new Machines(t)
  const begun: number[] = []
  let finish = (): void => {}
  const run = ({ signal }: RunParts): Promise<void> => {
    begun.push(machines.clock.now())
    return new Promise((resolve) => {
      finish = resolve
      signal.addEventListener('abort', () => resolve())
    })
  }
  const all = [machines.start(run), machines.start(run)]
  await machines.clock.advance(minute)
  await all[0]!.until(() => begun.length === 1)
  await machines.clock.advance(minute + 10_000)
  finish()
  await all[0]!.until(() => all.some(({ ended }) => ended.length === 1))
  await machines.clock.advance(minute / 2)
  assert.equal(begun.length, 1)
  await machines.clock.advance(minute / 2)
  await all[0]!.until(() => begun.length === 2)
  finish()
  const [first = 0, second = 0] = begun
  assert.equal(second - first, 2 * minute)
})

test('a tick that the holder of the lock did not begin is run by another', async (t) => {
  const machines = new Machines(t)
  // A holder that dies before the tick: its lock is there until its time is over.
  machines.server.rows.set('reports', {
    name: 'reports',
    holder: 'gone',
    token: 1,
    until: performance.now() + 300,
    owner: { host: 'gone', pid: 1, since: 0, token: 1 },
  })
  let begun = 0
  const a = machines.start(() => void (begun += 1))
  await machines.clock.advance(minute)
  await a.until(() => a.waiting.length === 1)
  assert.equal(begun, 0)
  await a.until(() => begun === 1)
  await machines.clock.advance(minute)
  await a.until(() => begun === 2)
})

test('a tick that was begun and whose run was cut off is not run again', async (t) => {
  const machines = new Machines(t)
  const a = machines.start(untilAborted)
  await machines.clock.advance(minute)
  await a.until(() => a.runs.length === 1)
  const b = machines.start(() => {})
  machines.server.free('reports')
  await a.until(() => a.ended.length === 1)
  assert.equal(a.ended[0]?.status, 'interrupted')
  await machines.clock.advance(minute - 1)
  assert.equal(b.runs.length, 0)
})

test('a cron text or a zone that cannot work is refused where the singleton is defined', async () => {
  const make = (cron: string, timezone = 'UTC') =>
    singleton({ name: 'a', cron, timezone, run: () => {} })
  assert.throws(() => make('0 25 * * *'), /^ErrandError: singleton\("a"\)\.cron has hour 25/)
  assert.throws(() => make('0 0 30 2 *'), /never matches/)
  assert.throws(() => make('@daily', 'Europe/Pragu'), /Did you mean Europe\/Prague\?/)
  const both = singleton({ name: 'a', cron: '@daily', every: '1m', run: () => {} })
  await assert.rejects(readSettings(both, { flags: {}, env: {} }), /exclude each other/)
  const flags = { cron: 'soon' }
  await assert.rejects(
    readSettings(make('@daily'), { flags, env: {} }),
    /a\.cron must have five fields .* not "soon"/,
  )
})

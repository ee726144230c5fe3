import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { App } from '../app/app.ts'
import { describeTask, readNotes, withTimes } from '../app/registered-tasks.ts'
import { task } from '../core/task.ts'
import { collectTasks } from '../core/task-list.ts'
import { StoreTime } from '../loops/store-time.ts'
import type { RegisteredTask } from '../store/registry.ts'
import { memory } from '../stores/memory/index.ts'
import { spying } from '../testing/by-hand.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { Registrar, renewed } from './register-tasks.ts'

const hour = 3_600_000
const described = (input: z.ZodType): RegisteredTask =>
  describeTask(new App({ store: memory() }, '/'), task({ name: 'mail', input }))
const first = described(z.string())
const second = described(z.number())
const at = (entry: RegisteredTask, registeredAt: number, servedAt: number): RegisteredTask =>
  withTimes(entry, { registeredAt, servedAt })

describe('an entry of the tasks registry', () => {
  it('of the same definition is renewed, by few of many', () => {
    const now = 10 * hour
    assert.equal(renewed(first, at(first, 1, now - hour / 4), { registeredAt: 2, now }), null)
    const made = renewed(first, at(first, 1, now - hour), { registeredAt: 2, now })
    assert.deepEqual(made, at(first, 2, now))
    assert.deepEqual(renewed(first, undefined, { registeredAt: 2, now }), at(first, 2, now))
  })

  it('of another definition is that of the worker that started last, and stays so', () => {
    const now = 10 * hour
    // The worker that started first leaves it alone; the other takes it back, whoever wrote last.
    assert.equal(renewed(first, at(second, 2, now - hour), { registeredAt: 1, now }), null)
    assert.deepEqual(
      renewed(second, at(first, 1, now), { registeredAt: 2, now }),
      at(second, 2, now),
    )
    // Of two that started in one millisecond one wins, whichever looks.
    const a = renewed(first, at(second, 5, now), { registeredAt: 5, now })
    const b = renewed(second, at(first, 5, now), { registeredAt: 5, now })
    assert.equal([a, b].filter((one) => one === null).length, 1)
  })

  it('that its workers renew no more is put right by those that live', () => {
    const now = 10 * hour
    const made = renewed(first, at(second, 2, now - 3 * hour), { registeredAt: 1, now })
    assert.deepEqual(made, at(first, 1, now))
  })
})

describe('the registrar of a worker', () => {
  it('says each hour that its tasks are served, and reads the registry no more often', async () => {
    const clock = new VirtualClock()
    const calls: string[] = []
    const inner = memory({ clock })
    const app = new App({ store: spying(inner, (call) => void calls.push(call)) }, '/')
    const ticks = (): number => clock.now()
    const time = new StoreTime(ticks, clock.now())
    const tasks = collectTasks([task({ name: 'mail', run: () => 1 })])
    const registrar = new Registrar(app, tasks, { time, ticks })
    const servedAt = async (): Promise<number> => {
      const [entry] = await inner.tasks()
      return readNotes(entry!).servedAt ?? 0
    }
    await registrar.announce()
    registrar.loop.start()
    const begun = await servedAt()
    await clock.advance(hour - 1)
    assert.deepEqual(calls, ['registerTasks'])
    await clock.advance(2)
    assert.deepEqual(calls, ['registerTasks', 'tasks', 'registerTasks'])
    assert.ok((await servedAt()) - begun >= hour)
    await registrar.stop()
  })

  it('writes many long entries in calls that a body of the API holds', async () => {
    const sizes: number[] = []
    const store = spying(memory(), (call, args) => {
      if (call === 'registerTasks') sizes.push(JSON.stringify(args).length)
    })
    const long = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`${n}`, z.string()]))
    const tasks = Array.from({ length: 1_500 }, (_, n) =>
      task({ name: `task-${n}`, input: z.object(long), run: () => 1 }),
    )
    const ticks = (): number => 0
    const time = new StoreTime(ticks, 0)
    const app = new App({ store }, '/')
    await new Registrar(app, collectTasks(tasks), { time, ticks }).announce()
    assert.equal((await store.tasks()).length, 1_500)
    assert.ok(sizes.length > 1 && Math.max(...sizes) < 8 * 1_024 * 1_024, String(sizes))
  })
})

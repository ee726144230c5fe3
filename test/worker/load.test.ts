/** A worker that holds back while its machine is loaded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listWorkers } from '../../src/client/workers.ts'
import { readPauseWhen } from '../../src/core/pause-when.ts'
import { task } from '../../src/core/task.ts'
import { isErrandError } from '../../src/core/errors.ts'
import { EventHub, type Events } from '../../src/observe/events.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { controlGroups } from '../../src/worker/control-groups.ts'
import { Holds } from '../../src/worker/holds.ts'
import { LoadGuard } from '../../src/worker/load-guard.ts'
import { LoadMeter, type Load } from '../../src/worker/load.ts'
import { inMemory, onSqlite } from './harness.ts'

const idle: Load = { cpu: 0, memory: 0, lag: 0 }

/** A guard whose load is set by hand. */
function guarded(bounds: Parameters<typeof readPauseWhen>[0]) {
  const clock = new VirtualClock()
  const events = new EventHub()
  const told: (Events['worker-paused'] | Events['worker-resumed'])[] = []
  events.on('worker-paused', (event) => told.push(event))
  events.on('worker-resumed', (event) => told.push(event))
  const holds = new Holds('w', events)
  let load = idle
  let measured = 0
  const read = readPauseWhen(bounds, 'pauseWhen')
  assert.ok(read !== null)
  const meter = {
    measure: () => {
      measured++
      return load
    },
    stop: () => undefined,
  }
  const guard = new LoadGuard({ clock, bounds: read, holds, meter })
  guard.start()
  return {
    holds,
    told,
    stop: () => guard.stop(),
    looks: () => measured,
    /** A second later. */
    look: async (now: Partial<Load>): Promise<readonly string[]> => {
      load = { ...idle, ...now }
      await clock.advance(1_000)
      return holds.reasons
    },
  }
}

test('it holds above a bound and goes on below nine tenths of it, not between', async () => {
  const { look, told, looks, stop } = guarded({ cpu: 0.9, lag: '200ms' })
  assert.deepEqual(await look({ cpu: 0.9 }), [])
  assert.deepEqual(await look({ cpu: 0.91 }), ['cpu'])
  assert.deepEqual(await look({ cpu: 0.85 }), ['cpu'])
  assert.deepEqual(await look({ cpu: 0.82, lag: 250 }), ['cpu', 'lag'])
  assert.deepEqual(await look({ cpu: 0.8, lag: 190 }), ['lag'])
  assert.deepEqual(await look({ memory: 1, lag: 179 }), [])
  assert.equal(looks(), 6)
  assert.deepEqual(told, [
    { worker: 'w', reasons: ['cpu'] },
    { worker: 'w', reasons: ['cpu', 'lag'] },
    { worker: 'w', reasons: ['lag'] },
    { worker: 'w' },
  ])
  stop()
  await look({ cpu: 1 })
  assert.equal(looks(), 6)
})

test('a real worker claims nothing while memory is over its bound, and shows why', async (t) => {
  const plain = task({ name: 'plain', run: () => 1 })
  const { client, work, reach, until, app } = onSqlite(t, {
    tasks: [plain],
    pauseWhen: { memory: 0.000_001 },
  })
  const worker = await work()
  await until('the worker to hold back', () => worker.status.paused.length > 0)
  const { id } = await client.enqueue(plain, undefined)
  await until('the registry to show it', async () => {
    const [shown] = await listWorkers({ app, call: (make: never) => call(make) } as never)
    return shown?.paused.includes('memory')
  })
  assert.equal((await reach(id, 'ready', 'completed')).state, 'ready')
  // Its own option goes over that of the app.
  await work({ pauseWhen: { lag: '1h' } })
  await reach(id, 'completed')

  function call(make: (store: typeof app.store) => unknown): unknown {
    return make(app.store)
  }
})

test('the meter finds a blocked loop and a busy processor', async () => {
  const meter = new LoadMeter()
  await new Promise((resolve) => setTimeout(resolve, 50))
  meter.measure()
  await new Promise((resolve) => setTimeout(resolve, 50))
  for (const until = performance.now() + 300; performance.now() < until;);
  await new Promise((resolve) => setTimeout(resolve, 50))
  const { lag, cpu, memory } = meter.measure()
  meter.stop()
  assert.ok(lag >= 200, `lag ${lag}`)
  assert.ok(cpu > 0 && cpu <= 1, `cpu ${cpu}`)
  assert.ok(memory > 0 && memory < 1, `memory ${memory}`)
})

/** Files of a kernel, as `read` finds them. */
function kernel(files: Readonly<Record<string, string>>): (path: string) => string | null {
  return (path) => files[path] ?? null
}

test('bounds of control groups of version 2 count, those of a group around it as well', () => {
  const read = kernel({
    '/sys/fs/cgroup/a/cpu.max': '50000 100000\n',
    '/sys/fs/cgroup/a/cpu.stat': 'usage_usec 2000000\nuser_usec 1\n',
    '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/a/b/cpu.stat': 'usage_usec 1000000\n',
    '/sys/fs/cgroup/a/b/memory.max': '1000\n',
    '/sys/fs/cgroup/a/b/memory.current': '900\n',
    '/sys/fs/cgroup/a/b/memory.stat': 'anon 1\ninactive_file 200\n',
    '/sys/fs/cgroup/memory.max': 'max\n',
  })
  const { cpu, memory } = controlGroups('0::/a/b\n')
  assert.deepEqual(
    cpu.map(({ look }) => look(read)),
    [null, { usedMs: 2_000, processors: 0.5 }, null],
  )
  assert.deepEqual(
    memory.map(({ look }) => look(read)),
    [{ used: 700, most: 1_000 }, null, null],
  )
})

test('bounds of control groups of version 1 count, in a container that sees its own as the root', () => {
  const read = kernel({
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    '/sys/fs/cgroup/cpuacct/cpuacct.usage': '3000000\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '1000\n',
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': '500\n',
    '/sys/fs/cgroup/memory/memory.stat': 'total_inactive_file 100\n',
  })
  const { cpu, memory } = controlGroups('4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n')
  assert.deepEqual(
    cpu.flatMap(({ look }) => look(read) ?? []),
    [{ usedMs: 3, processors: 2 }],
  )
  assert.deepEqual(
    memory.flatMap(({ look }) => look(read) ?? []),
    [{ used: 400, most: 1_000 }],
  )
})

test('bounds that cannot be meant are refused', (t) => {
  const { worker } = inMemory(t)
  for (const bounds of [
    {},
    { cpu: 0 },
    { cpu: 90 },
    { memory: '1' },
    { lag: 0 },
    { lag: 'soon' },
    3,
  ])
    assert.throws(
      () => worker({ pauseWhen: bounds as never }),
      (error) => isErrandError(error, 'invalid-option'),
    )
})

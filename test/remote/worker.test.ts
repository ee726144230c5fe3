/** The ordinary worker on a store over HTTP: its leases, its renewer's thread, and a manager that dies under it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { serve } from '@hono/node-server'
import { createErrand, task } from 'errand'
import { http } from 'errand/http'
import { sqlite } from 'errand/sqlite'
import type { ClaimRequest } from '../../src/store/worker-calls.ts'
import type { Store } from '../../src/store/store.ts'
import { tryRenewer } from '../../src/worker/renewer.ts'
import { managerUnderTest, type ManagerUnderTest } from '../manager-server.ts'
import { callerWith, managerScene } from './scene.ts'

interface Place {
  readonly manager: ManagerUnderTest
  readonly claims: ClaimRequest[]
  /** Resolves once leases were renewed for so long. */
  readonly renewedFor: (ms: number) => Promise<void>
}

async function onFile(t: TestContext): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-remote-'))
  const claims: ClaimRequest[] = []
  const waits = new Map<number, PromiseWithResolvers<void>>()
  const open = (): Store => {
    const store = sqlite(join(folder, 'jobs.db'))
    return {
      ...store,
      claim(request) {
        claims.push(request)
        return store.claim(request)
      },
      renew(leases, leaseMs) {
        waits.get(leaseMs)?.resolve()
        return store.renew(leases, leaseMs)
      },
    }
  }
  const manager = await managerUnderTest({ open })
  t.after(async () => {
    await manager.close()
    await rm(folder, { recursive: true })
  })
  const renewedFor = (ms: number): Promise<void> => {
    const wait = Promise.withResolvers<void>()
    waits.set(ms, wait)
    return wait.promise
  }
  return { manager, claims, renewedFor }
}

test('a worker far away claims with short leases and ids, and its thread renews them for longer', async (t) => {
  const { manager, claims, renewedFor } = await onFile(t)
  // Nothing but the renewal of the first lease, in a third of its time, lets the handler end.
  const hold = task({ name: 'hold', run: () => renewedFor(12_000) })
  const errand = createErrand({ store: http({ url: manager.url }), tasks: [hold], lease: '12s' })
  t.after(() => errand.close())
  await errand.worker().start()
  const job = await errand.enqueue(hold)
  await job.result({ timeout: '30s' })
  const asked = claims.filter(({ limit }) => limit > 0)
  assert.ok(asked.length > 0)
  for (const { id, leaseMs } of asked) {
    assert.equal(leaseMs, 10_000)
    assert.notEqual(id, null)
  }
})

test('doctor finds a thread for the renewer, and what the store of the manager promises', async (t) => {
  const { manager } = await onFile(t)
  const store = http({ url: manager.url })
  t.after(() => store.close())
  assert.deepEqual(await tryRenewer(store), { mode: 'thread', why: null })
  await store.setup()
  assert.match(store.info.durability, /survive|process|power|killed/)
  assert.equal(store.info.kind, 'http')
  assert.deepEqual(await store.warnings('try'), [])
})

test('jobs that run while their manager is killed twice end once, and their results arrive', async (t) => {
  const { manager } = await onFile(t)
  const ran: number[] = []
  const note = task({
    name: 'note',
    async run(n: number) {
      ran.push(n)
      if (n % 40 === 20) await manager.kill()
      return n
    },
  })
  const errand = createErrand({ store: http({ url: manager.url }), tasks: [note], slots: 5 })
  t.after(() => errand.close())
  await errand.worker().start()
  const jobs = await errand.enqueueMany(Array.from({ length: 80 }, (_, n) => [note, n] as const))
  const results = await Promise.all(jobs.map((job) => job.result({ timeout: '60s' })))
  assert.deepEqual(
    results,
    Array.from({ length: 80 }, (_, n) => n),
  )
  assert.ok(manager.starts >= 2)
})

test('a worker whose token is for one queue runs its jobs, and no part of it fails', async (t) => {
  const scene = managerScene()
  const fetch = scene.fetchAs(callerWith(['work'], ['mail']))
  const listening = Promise.withResolvers<AddressInfo>()
  const server = serve({ fetch, hostname: '127.0.0.1', port: 0 }, listening.resolve)
  const { port } = await listening.promise
  const send = task({ name: 'send', queue: 'mail', run: (n: number) => n })
  const other = task({ name: 'other', queue: 'other', run: () => null })
  const errand = createErrand({
    store: http({ url: `http://127.0.0.1:${port}` }),
    tasks: [send, other],
    queues: { '*': {} },
  })
  t.after(async () => {
    await errand.close()
    server.close()
  })
  const failed: unknown[] = []
  errand.on('part-failed', ({ part, error }) => failed.push([part, error]))
  await errand.worker({ queues: ['*'] }).start()
  const elsewhere = await scene.errand.enqueue(other)
  const job = await errand.enqueue(send, 5)
  assert.equal(await job.result({ timeout: '30s' }), 5)
  await assert.rejects(errand.enqueue(other), { code: 'forbidden' })
  assert.equal((await scene.errand.jobs.get(elsewhere.id))?.state, 'ready')
  assert.deepEqual(failed, [])
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { v7 } from 'uuid'
import { clientOf, redisHarness } from '../../../test/redis-harness.ts'
import { canStartRedis, startCluster, type RedisCluster } from '../../../test/redis-server.ts'
import {
  raceRules,
  runRules,
  storeRules,
  type Rule,
  type StoreFixture,
} from '../../testing/conformance/index.ts'
import {
  claimOf,
  finish,
  newJob,
  requeue,
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { Connection } from './connection.ts'
import { redis, type RedisClient } from './index.ts'
import { Partition } from './partitions/partition.ts'
import { Spread } from './partitions/place.ts'
import { byConnection, fewOfEach, isFull, rulesOfAnotherWay } from '../../../test/full.ts'

/** Rules that compare the order of jobs: order holds per partition, so their jobs get ids of one. */
const ofOneLine: ReadonlySet<string> = new Set([
  'a claim that is repeated with its id returns the same leases and claims no others',
  'a claimer that gets a suspect hides no job behind it from another',
  'a claimer that has enough hides no job behind it from another',
  'a job given back unstarted keeps its place before newer work',
  'a job given back runs before newer work even when it had to wait for a while',
  'a lost job runs before newer work of its priority, and after work of a lower number',
  'a job put back at once by its due time stands behind what waits already',
  'a job that lines up by its new due time stands behind what was due before',
  'a place is kept over any number of returns',
  'a job that became due stands before one that was inserted later',
  'all queues together give at most the limit of the claim, asked in their order',
  'jobs of one batch run in the order of the batch',
  'lower priorities run first, whenever they came',
  'one call asks several hundred queues',
  'other queues come after the named ones, by name, each with its own limit',
  'the order of queues goes before the priority of jobs',
  'within a priority the first due runs first, then the first inserted',
  'a client that dies with five hundred claimed jobs loses none of them',
  'a retried job stands behind what waits already',
  'a suspect is claimed alone, however much the claim asks for, with its start written',
  'a suspect that may be started is found behind one that may not',
  'an ordinary job that stands before a suspect goes first, and the suspect comes by the next claim',
  'a suspect that is due later is not claimed before, and keeps its place before newer jobs',
  'a claim that took jobs from one queue takes no suspect from the next',
  'a claim that found nothing in one queue may take a suspect from the next',
  'a caller that can start no suspect gets ordinary jobs as if suspects were not there',
  'an operator who retries a suspect makes it an ordinary job',
  'once a suspect, always a suspect, until it ends',
  'two suspects take two claims',
  'two claimers of an ordinary job, and of a suspect that stands between it and another: each gets one of the first two',
  'replace of a job that is due keeps its place, however often, also in another queue',
  'replace of a job whose due time has come keeps its place, though nobody asked for jobs since',
  'replace of a job that is not due yet lines it up behind those that are',
  'replace keeps no place that the new priority does not have',
  'a job whose needs are met after it was due lines up from then on',
  'jobs that left the line leave no gap in what a claim is given',
  'a job that left the line is not given out, whatever was asked of the line before',
  'jobs removed from the middle of a line leave the others in their order',
  'within a priority jobs stand by their due time less their head start',
  'jobs of one batch stand by their head starts, then in the order of the batch',
  'a job that stands behind its due time is overtaken by newer ones for that long',
  'a job with a delay stands before its due time, but is not due before it',
  'a head start holds after a retry, and a job that is given back keeps its place',
  'a suspect stands by its head start',
  'a head start counts from when a job became free of what it needs, alone or with others',
  'a head start holds after the retry of an operator',
  'an insert is refused as a whole for a head start out of bounds',
])

/** Rules that insert an id again with other needs or another key, as no client does: elsewhere it would be another job. */
const ofOnePartition: ReadonlySet<string> = new Set([
  'a job that is blocked and is inserted again: nothing changes',
  'of two inserts of one id, one with a key, the key is held only if the job that is kept has it',
])

/** Rules of what one call gives: over several partitions it may be as much as two of them give. */
const ofOneCall = /8 MiB|larger than all that a call hands out/

/** Rules of the order among jobs of several keys, which lie in several partitions whatever their ids. */
const ofSeveralKeys = /with keys and bounds|of many jobs does to each|replace brings its head start/

/** Makes ids that lie in the partition of a unique key, of 8. */
function idsBeside(key: string): () => string {
  const nowhere = new Connection({ kind: 'urls', urls: [] }, 'nowhere')
  const options = { prefix: 'none', partitions: 8, testClock: false }
  const spread = new Spread(
    Array.from({ length: 8 }, (_, index) => new Partition(nowhere, { index, ...options })),
  )
  return () => {
    let id = v7()
    while (spread.ofId(id) !== spread.ofText(key)) id = v7()
    return id
  }
}

if (canStartRedis()) {
  let cluster: RedisCluster
  let common: Redis | Cluster

  before(async () => {
    cluster = await startCluster()
    common = clientOf(cluster.urls)
  })
  after(async () => {
    common.disconnect()
    await cluster.stop()
  })

  const isOfOne = (name: string): boolean =>
    ofOneLine.has(name) ||
    ofOnePartition.has(name) ||
    ofOneCall.test(name) ||
    ofSeveralKeys.test(name)
  const all = [...storeRules, ...raceRules]
  const several = rulesOfAnotherWay(all)
  const runOn = (partitions: number, newId: () => string, rules: readonly Rule[]): void => {
    const { own, shared } = byConnection(rules)
    for (const [some, isShared] of [
      [own, false],
      [shared, true],
    ] as const) {
      const create = (): Promise<StoreFixture> =>
        redisHarness(cluster.urls, partitions, isShared ? common : null).create()
      runRules({
        test: (name, run) => test(`${partitions} partitions: ${name}`, run),
        harness: { create, newId, rounds: isFull ? 20 : 10 },
        rules: some,
      })
    }
  }

  // One partition is what it is on a single server.
  runOn(1, v7, fewOfEach(all, 2))
  runOn(
    8,
    v7,
    several.filter(({ name }) => !isOfOne(name)),
  )
  // Keys lie where they belong, whatever the ids.
  runOn(
    8,
    idsBeside('k'),
    several.filter(({ name }) => isOfOne(name) && !ofSeveralKeys.test(name)),
  )

  test('a partition keeps its order, and its neighbours keep theirs', async () => {
    const store = redis(cluster.urls, { prefix: 'order', partitions: 8 })
    const jobs = Array.from({ length: 400 }, () => newJob())
    await store.insert(jobs)
    const rank = new Map(jobs.map(({ id }, n) => [id, n]))
    const byPartition = new Map<number, number[]>()
    for (let calls = 0; calls < 100; calls += 1) {
      for (const { id, token } of (await store.claim(claimOf({ limit: 7 }))).jobs) {
        const line = byPartition.get(token % 64) ?? []
        byPartition.set(token % 64, [...line, rank.get(id) ?? -1])
      }
    }
    assert.equal(byPartition.size, 8)
    for (const line of byPartition.values()) {
      assert.deepEqual(
        line,
        line.toSorted((a, b) => a - b),
      )
    }
    await store.close()
  })

  test('a claim that is repeated returns the jobs of all partitions, and no others', async (t) => {
    const store = redis(cluster.urls, { prefix: 'repeated', partitions: 8 })
    t.after(() => store.close())
    await store.insert(Array.from({ length: 400 }, () => newJob()))
    const request = claimOf({ id: v7(), limit: 300 })
    const first = byId((await store.claim(request)).jobs)
    assert.equal(first.length, 300)
    assert.equal(new Set(first.map(({ token }) => token % 64)).size > 1, true)
    for (let times = 0; times < 8; times += 1)
      assert.deepEqual(byId((await store.claim(request)).jobs), first)
    await store.settle(first.slice(0, 299).map((job) => finish(job)))
    assert.deepEqual((await store.claim(request)).jobs, first.slice(299))
    assert.equal((await store.claim(claimOf({ id: v7() }))).jobs.length, 100)
  })

  test('jobs of an advance lie in the partition of its record, and their keys are upheld there', async (t) => {
    const store = redis(cluster.urls, { prefix: 'advance', partitions: 8 })
    t.after(() => store.close())
    const jobs = Array.from({ length: 20 }, (_, n) => newJob({ unique: unique(`key-${n}`) }))
    const ids = jobs.map(({ id }) => id)
    const advance = [{ key: 'cursor', from: null, to: '1', jobs: ids }]
    await store.insert(jobs, { advance })
    const claimed = (await store.claim(claimOf())).jobs
    assert.deepEqual(new Set(claimed.map(({ id }) => id)), new Set(ids))
    assert.equal(new Set(claimed.map(({ token }) => token % 64)).size, 1)
    await store.settle(claimed.map((job) => requeue(job)))
    const again = jobs.map((job) => newJob({ unique: job.unique }))
    const next = [{ ...advance[0]!, from: '1', to: '2', jobs: again.map(({ id }) => id) }]
    const answers = await store.insert(again, { advance: next })
    assert.deepEqual(
      answers.map(({ id, status }) => [id, status]),
      ids.map((id) => [id, 'duplicate']),
    )
  })

  test('each master of a cluster holds a fifth of the keys at least', async () => {
    const prefix = 'shares'
    const store = redis(cluster.urls, { prefix, partitions: 16 })
    await store.insert(Array.from({ length: 1_000 }, () => newJob()))
    const client = new Cluster(
      cluster.urls.map((url) => ({ host: '127.0.0.1', port: portOf(url) })),
    )
    await client.ping()
    const shares: number[] = []
    for (const node of client.nodes('master')) {
      let count = 0
      for await (const keys of node.scanStream({ match: `{${prefix}:*`, count: 1_000 }))
        count += (keys as string[]).length
      shares.push(count)
    }
    const all = shares.reduce((sum, one) => sum + one, 0)
    assert.equal(shares.length, 3)
    for (const share of shares) assert.ok(share >= all / 5, `shares are ${shares.join(', ')}`)
    client.disconnect()
    await store.close()
  })

  test('a process has at most three connections to a node: two for calls and one that listens', async (t) => {
    const counters = cluster.urls.map((url) => new Redis(url))
    // As a worker has them: one of the process, and one of the thread that renews its leases.
    const options = { prefix: 'connections', partitions: 16 }
    const stores = [redis(cluster.urls, options), redis(cluster.urls, options)]
    t.after(async () => {
      for (const counter of counters) counter.disconnect()
      for (const store of stores) await store.close()
    })
    const marks = await Promise.all(counters.map(async (counter) => counter.client('ID')))
    const heard = new Promise((resolve) => stores[0]?.watch(resolve))
    for (const store of stores) await store.insert(Array.from({ length: 200 }, () => newJob()))
    await heard
    const lists = await Promise.all(counters.map(async (counter) => counter.client('LIST')))
    const added = lists.map((list, n) =>
      String(list)
        .split('\n')
        .filter((line) => Number(/^id=(\d+)/.exec(line)?.[1]) > (marks[n] ?? 0))
        // One that looks up which node has which slots, and goes.
        .filter((line) => !line.includes('(refresher)')),
    )
    for (const lines of added) assert.ok(lines.length <= 3, lines.join('\n'))
    const listeners = added.flat().filter((line) => line.includes('(subscriber)'))
    assert.equal(listeners.length, 1, added.flat().join('\n'))
  })

  test('a unique follow-up crosses to the partition of its key once, however many carry it', async () => {
    const options = { prefix: 'crossing', partitions: 8 }
    const stores = [1, 2, 3].map(() => redis(cluster.urls, options))
    const [store] = stores as [Store, ...Store[]]
    const jobs = await runningParents(store, 40)
    const followUps = jobs.map((job, n) => newJob({ parent: job.id, unique: unique(`key-${n}`) }))
    const settlements = jobs.map((job, n) => finish(job, { followUps: followUps.slice(n, n + 1) }))
    await Promise.all(stores.flatMap((one) => [one.settle(settlements), one.tend(workerOf())]))
    const found = await store.get(followUps.map(({ id }) => id))
    assert.ok(found.every((job) => job?.state === 'ready'))
    const counts = await store.counts()
    assert.equal(counts.find(({ state }) => state === 'ready')?.count, 40)
    for (const one of stores) await one.close()
  })

  test('a follow-up whose carrier died on the way is carried by the next heartbeat of anyone', async () => {
    const options = { prefix: 'carrier', partitions: 8 }
    const client = new Cluster(
      cluster.urls.map((url) => ({ host: '127.0.0.1', port: portOf(url) })),
    )
    let left = Infinity
    const dying = new Proxy(client, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (name !== 'evalsha' && name !== 'eval')
          return typeof value === 'function' ? value.bind(target) : value
        return (...args: unknown[]) =>
          left-- > 0
            ? (value as (...args: unknown[]) => unknown).apply(target, args)
            : Promise.reject(new Error('died'))
      },
    })
    const carrier = redis(dying as unknown as RedisClient, options)
    const store = redis(cluster.urls, options)
    const [job] = await runningParents(carrier, 1)
    assert.ok(job)
    // All keys but those of one partition in eight lie elsewhere.
    const followUps = Array.from({ length: 8 }, (_, n) =>
      newJob({ parent: job.id, unique: unique(`away-${n}`) }),
    )
    left = 2
    await assert.rejects(carrier.settle([finish(job, { followUps, attempt: '"e"' })]))
    await store.tend(workerOf())
    const found = await store.get(followUps.map(({ id }) => id))
    assert.deepEqual(
      found.map((one) => one?.state),
      followUps.map(() => 'ready'),
    )
    await store.close()
    await carrier.close()
    assert.equal(client.status, 'ready', 'a client that was handed in is left open')
    client.disconnect()
  })

  test('a replica that becomes a master learns the scripts, goes on where the master was, and tokens grow', async () => {
    const store = redis(cluster.urls, { prefix: 'fail-over', partitions: 8 })
    await store.insert(Array.from({ length: 400 }, () => newJob()))
    const before = await store.claim(claimOf({ limit: 100 }))
    const replica = new Redis(cluster.urls[3] ?? '')
    const isMaster = async (): Promise<boolean> =>
      (await replica.info('replication')).includes('role:master')
    assert.equal(await isMaster(), false)
    const end = performance.now() + 20_000
    while (!(await isMaster())) {
      assert.ok(performance.now() < end, 'the replica does not become a master')
      await replica.cluster('FAILOVER').catch(() => undefined)
      await sleep(100)
    }
    const answers = await store.settle(before.jobs.map((job) => finish(job)))
    assert.ok(answers.every((answer) => answer === 'settled'))
    const byPartition = new Map(before.jobs.map(({ token }) => [token % 64, token]))
    let count = 0
    for (let calls = 0; calls < 20; calls += 1) {
      for (const { token } of (await store.claim(claimOf({ limit: 100 }))).jobs) {
        count += 1
        assert.ok(token > (byPartition.get(token % 64) ?? 0))
      }
    }
    assert.equal(count, 300)
    replica.disconnect()
    await store.close()
  })

  test('another number of partitions than the store was made with is refused', async () => {
    const store = redis(cluster.urls, { prefix: 'count', partitions: 4 })
    await store.setup()
    const other = redis(cluster.urls, { prefix: 'count', partitions: 5 })
    await assert.rejects(other.setup(), { code: 'invalid-config' })
    await store.close()
    await other.close()
  })
}

function byId(jobs: readonly ClaimedJob[]): ClaimedJob[] {
  return jobs.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

async function runningParents(store: Store, count: number): Promise<readonly ClaimedJob[]> {
  await store.insert(Array.from({ length: count }, () => newJob({ queue: 'parents' })))
  const { jobs } = await store.claim(claimOf({ queues: [{ name: 'parents', limit: 100 }] }))
  assert.equal(jobs.length, count)
  return jobs
}

function portOf(url: string): number {
  return Number(new URL(url).port)
}

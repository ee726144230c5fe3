import assert from 'node:assert/strict'
import type { NewJob, StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, hour, minute, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'

type Call = (store: Store, ids: readonly string[]) => Promise<readonly unknown[]>

/** What operators do to several jobs in one call. */
const calls: Readonly<Record<string, Call>> = {
  cancel: (store, ids) => store.cancel(ids, 'unwanted'),
  retry: (store, ids) => store.retry(ids),
  remove: (store, ids) => store.remove(ids),
  take: async (store, ids) => (await store.take(ids)).map((job) => job && seen(job)),
}

const ends = ['completed', 'failed', 'cancelled', 'discarded'] as const

/**
 * Jobs in what can matter to a call, which it is given in this order; what waits is in the queue of
 * its side.
 */
async function jobsOf(scene: Scene, side: string): Promise<ReadonlyMap<string, string>> {
  const jobs = new Map<string, string>()
  const ran = `${side}, claimed`
  const add = async (kind: string, over: Partial<NewJob>): Promise<string> => {
    const id = await scene.enqueue({ queue: side, ...over })
    jobs.set(kind, id)
    return id
  }
  const key = (kind: string): Pick<NewJob, 'unique'> => ({ unique: unique(`${side} ${kind}`) })
  const later = { kind: 'job', onFailed: 'cancel' } as const
  for (const place of [1, 2, 3]) await add(`ready ${place}`, {})
  await add('urgent', { priority: 1 })
  await add('in another queue', { queue: `${side}, beside` })
  await add('scheduled', { delayMs: 24 * hour })
  await add('with bounds', { startWithinMs: minute, deadlineMs: hour })
  await add('with a key', key('with a key'))
  await add('with a key for a time', { unique: unique(`${side} timed`, { forMs: 24 * hour }) })
  await add('kept for no time', { keepCancelledMs: 0 })
  await add('with a key, kept for no time', { ...key('unkept'), keepCancelledMs: 0 })
  await add('kept for ever', { keepCancelledMs: null })
  const need = await add('needed', {})
  await add('in need', { needs: [{ id: need, ...later }] })
  const late = await add('needed by what comes first', {})
  const first = await add('in need, first', { needs: [{ id: late, ...later }] })
  jobs.delete('needed by what comes first')
  jobs.delete('in need, first')
  jobs.set('in need, first', first)
  jobs.set('needed by what comes first', late)
  const claimed = async (kind: string, over: Partial<NewJob> = {}) => {
    const job = await scene.running({ queue: ran, ...over })
    jobs.set(kind, job.id)
    return job
  }
  for (const state of ends) {
    for (const place of [1, 2]) {
      const end = { state, output: state === 'completed' ? '1' : null }
      assert.equal(await scene.settle(finish(await claimed(`${state} ${place}`), end)), 'settled')
    }
  }
  for (const place of [1, 2]) {
    const failed = await claimed(`failed with a key ${place}`, key('failed'))
    assert.equal(await scene.settle(finish(failed, { state: 'failed' })), 'settled')
  }
  const bound = await claimed('failed with bounds', { startWithinMs: hour, deadlineMs: hour })
  assert.equal(await scene.settle(finish(bound, { state: 'failed' })), 'settled')
  await claimed('running')
  const lost = counted({ attempts: 1, losses: 1 })
  const suspect = await claimed('suspect')
  assert.equal(
    await scene.settle(requeue(suspect, { counters: lost, started: true, suspect: true })),
    'settled',
  )
  return jobs
}

/** A job without what differs between twins. */
function seen(job: StoredJob): object {
  const { id: _id, token, uniqueKey, queue: _queue, worker, ...rest } = job
  const times = ['createdAt', 'dueAt', 'startBy', 'deadlineAt', 'startedAt', 'finishedAt'] as const
  const known = Object.fromEntries(times.map((name) => [name, rest[name] !== null]))
  const keptMs = rest.expiresAt === null ? null : rest.expiresAt - (rest.finishedAt ?? NaN)
  const was = { wasClaimed: token > 0, worker, hasKey: uniqueKey !== null, keptMs }
  return { ...rest, ...known, ...was, expiresAt: undefined, leaseUntil: undefined }
}

/**
 * All that a side came to: its jobs, who has their keys, how many are counted, and what is claimed
 * in which order.
 */
async function outcomeOf(scene: Scene, side: string, jobs: ReadonlyMap<string, string>) {
  const found = await scene.store.get([...jobs.values()])
  const records = [...jobs.keys()].map((kind, at) => {
    const job = found[at] ?? null
    return [kind, job && seen(job)]
  })
  const counts = (await scene.store.counts())
    .filter(({ queue }) => queue.startsWith(side))
    .map((count) => ({ ...count, queue: count.queue.slice(side.length) }))
  const keys: unknown[] = []
  for (const key of ['with a key', 'timed', 'unkept', 'failed'])
    keys.push([key, await scene.tryInsert({ queue: 'keys', unique: unique(`${side} ${key}`) })])
  const kinds = new Map([...jobs].map(([kind, id]) => [id, kind]))
  const queues = [side, `${side}, beside`, `${side}, claimed`].map((name) => ({ name, limit: 99 }))
  const claimed = await scene.claimIds({ queues, maxLosses: null })
  return { records, counts, keys, claimed: claimed.map((id) => kinds.get(id)) }
}

/** One call for many jobs may go table by table; nothing of that is seen. */
export const batchRules: readonly Rule[] = rulesOf(
  'operators',
  Object.fromEntries(
    Object.entries(calls).map(([verb, call]) => [
      `a ${verb} of many jobs does to each what one for it alone does`,
      async (scene: Scene) => {
        const together = await jobsOf(scene, 'together')
        const alone = await jobsOf(scene, 'alone')
        const atOnce = await call(scene.store, [...together.values()])
        const oneByOne: unknown[] = []
        for (const id of alone.values()) oneByOne.push((await call(scene.store, [id]))[0])
        const named = (answers: readonly unknown[]) =>
          [...together.keys()].map((kind, at) => [kind, answers[at]])
        assert.deepEqual(named(atOnce), named(oneByOne))
        // What has waited too long by now is handed out as overdue.
        await scene.advance(2 * hour)
        const late = (await scene.sweep()).map(({ id, why }) => `${id} ${why}`)
        const lateOf = (jobs: ReadonlyMap<string, string>) =>
          [...jobs].flatMap(([kind, id]) =>
            late.flatMap((one) => (one.startsWith(id) ? [kind + one.slice(id.length)] : [])),
          )
        assert.deepEqual(lateOf(together), lateOf(alone))
        assert.deepEqual(
          await outcomeOf(scene, 'together', together),
          await outcomeOf(scene, 'alone', alone),
        )
      },
    ]),
  ),
)

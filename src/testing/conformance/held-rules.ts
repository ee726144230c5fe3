/**
 * What holds beside a transaction of a user that stays open: nobody but the caller who needs the very row that it holds waits for it. For
 * stores that take part in transactions which hold no more than what they have changed.
 */
import assert from 'node:assert/strict'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
import type { Rule, StoreFixture, StoreHarness } from './harness.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  hour,
  leaseMs,
  minute,
  newJob,
  unique,
  workerOf,
} from './jobs.ts'
import { only } from './scene.ts'

/** A harness of a store whose `insert` and `settle` take the transaction of a user. */
export interface TransactionHarness extends StoreHarness {
  create(): Promise<TransactionFixture>
}

export interface TransactionFixture extends StoreFixture {
  /** Runs `work` with a new transaction of a user, which is rolled back in the end. */
  readonly within: (work: (tx: unknown) => Promise<void>) => Promise<void>
}

const rule = unique('k')
const prune = { limit: 100, cap: 1_000_000 }

export const heldRules: readonly Rule<TransactionHarness>[] = rulesOf({
  'an insert of a key that an open transaction takes is held; its neighbours are inserted': async ({
    store,
    within,
  }) => {
    const jobs = [unique('a'), rule, unique('z'), null].map((one) => newJob({ unique: one }))
    await within(async (tx) => {
      await store.insert([newJob({ unique: rule })], { tx })
      const statuses = (await store.insert(jobs)).map(({ status }) => status)
      assert.deepEqual(statuses, ['created', 'held', 'created', 'created'])
      assert.deepEqual(
        (await store.get(jobs.map(({ id }) => id))).map((job) => job !== null),
        [true, false, true, true],
      )
    })
    assert.deepEqual(
      (await store.insert(jobs)).map(({ status }) => status),
      ['created', 'created', 'created', 'created'],
    )
  },

  'a job that needs a held one of its call is held with it; later both are inserted': async ({
    store,
    within,
  }) => {
    const first = newJob({ unique: rule })
    const second = newJob({ needs: [{ kind: 'job', id: first.id, onFailed: 'cancel' }] })
    const third = newJob({ needs: [{ kind: 'job', id: second.id, onFailed: 'cancel' }] })
    const jobs = [first, second, third, newJob()]
    await within(async (tx) => {
      await store.insert([newJob({ unique: rule })], { tx })
      const statuses = (await store.insert(jobs)).map(({ status }) => status)
      assert.deepEqual(statuses, ['held', 'held', 'held', 'created'])
    })
    await store.insert(jobs.slice(0, 3))
    assert.deepEqual(
      (await store.get(jobs.map(({ id }) => id))).map((job) => job?.state),
      ['ready', 'blocked', 'blocked', 'ready'],
    )
  },

  'a settlement whose follow-up needs such a key is held; its neighbours are settled, and later it is too':
    async (place) => {
      const { store, within } = place
      const [one, other, third] = await running(place, [newJob(), newJob(), newJob()])
      const followUp = newJob({ queue: 'follow-ups', unique: rule })
      const needy = finish(one!, { followUps: [followUp] })
      await within(async (tx) => {
        await store.insert([newJob({ queue: 'follow-ups', unique: rule })], { tx })
        const answers = await store.settle([
          finish(other!, { attempt: '"no"' }),
          needy,
          requeue(third!, { delayMs: minute }),
        ])
        assert.deepEqual(answers, ['settled', 'held', 'settled'])
        assert.deepEqual(
          (await store.get([one!, other!, third!].map(({ id }) => id))).map((job) => job?.state),
          ['running', 'completed', 'scheduled'],
        )
        assert.deepEqual(await store.renew([one!], leaseMs), ['renewed'])
      })
      assert.deepEqual(await store.settle([needy]), ['settled'])
      assert.equal(only(await store.get([followUp.id]))?.state, 'ready')
    },

  'a job that is put back while an open transaction takes its key goes on without, and so do its neighbours':
    async (place) => {
      const { store, within } = place
      const [keyed, other] = await running(place, [newJob({ unique: rule }), newJob()])
      await within(async (tx) => {
        assert.equal(only(await store.insert([newJob({ unique: rule })], { tx })).status, 'created')
        assert.deepEqual(
          await store.settle([requeue(keyed!), requeue(other!, { attempt: '"no"' })]),
          ['settled', 'settled'],
        )
      })
      const { jobs } = await store.claim(claimOf())
      assert.deepEqual(ids(jobs), [keyed!.id, other!.id])
    },

  'jobs that come due while an open transaction takes the key that one of them goes without are all claimed':
    async (place) => {
      const { store, within } = place
      const [keyed] = await running(place, [newJob({ unique: rule })])
      const rival = newJob({ unique: rule, queue: 'rivals' })
      await store.insert([rival])
      await store.settle([requeue(keyed!, { delayMs: minute })])
      await store.cancel([rival.id], null)
      const others = Array.from({ length: 5 }, () => newJob({ delayMs: minute }))
      await store.insert(others)
      await place.advance(minute)
      await within(async (tx) => {
        const inserted = await store.insert([newJob({ unique: rule, queue: 'rivals' })], { tx })
        assert.equal(only(inserted).status, 'created')
        const { nextDueMs } = await store.tend(workerOf())
        assert.equal(nextDueMs, null)
        const { jobs } = await store.claim(claimOf())
        assert.deepEqual(ids(jobs).sort(), ids([keyed!, ...others]).sort())
      })
    },

  'pruning, sweeping and heartbeats go on while an open transaction takes over a key whose time is over':
    async (place) => {
      const { store, within } = place
      const timed = unique('k', { forMs: minute })
      const left = newJob({ unique: timed, keepCancelledMs: hour })
      await store.insert([left])
      await store.cancel([left.id], null)
      const [lost] = await running(place, [newJob()])
      await place.advance(2 * hour)
      await within(async (tx) => {
        assert.equal(
          only(await store.insert([newJob({ unique: timed })], { tx })).status,
          'created',
        )
        assert.deepEqual(await store.prune(prune), { removed: 1, more: false })
        await store.tend(workerOf())
        assert.deepEqual(ids((await store.rescue(rescueOf())).jobs), [lost!.id])
      })
      assert.equal(only(await store.insert([newJob({ unique: timed })])).status, 'created')
    },

  'a job whose key an open transaction takes over is removed, rescued and overdue like any other':
    async (place) => {
      const { store, within } = place
      const timed = unique('k', { forMs: minute, during: [] })
      const [lost] = await running(place, [newJob({ unique: timed })])
      await place.advance(hour)
      await within(async (tx) => {
        assert.equal(
          only(await store.insert([newJob({ unique: timed })], { tx })).status,
          'created',
        )
        const [again] = (await store.rescue(rescueOf())).jobs
        assert.equal(again?.id, lost!.id)
        assert.deepEqual(await store.settle([finish(again, { attempt: '"no"' })]), ['settled'])
        assert.deepEqual(await store.remove([lost!.id]), ['removed'])
      })
    },

  "an operator's retry of a job whose key an open transaction takes is a duplicate": async ({
    store,
    within,
  }) => {
    const jobs = [newJob({ unique: rule }), newJob()]
    await store.insert(jobs)
    await store.cancel(ids(jobs), null)
    await within(async (tx) => {
      assert.equal(only(await store.insert([newJob({ unique: rule })], { tx })).status, 'created')
      assert.deepEqual(await store.retry(ids(jobs)), ['duplicate', 'retried'])
    })
  },

  'an operator who waits for a held job keeps no lease from being renewed and settled': async (
    place,
  ) => {
    const { store, within } = place
    const replaced = unique('k', { onConflict: 'replace' })
    const [lease] = await running(place, [newJob({ queue: 'runs' })])
    const waiting = newJob({ unique: replaced })
    await store.insert([waiting])
    const other = await place.another()
    await within(async (tx) => {
      assert.equal(
        only(await store.insert([newJob({ unique: replaced })], { tx })).status,
        'replaced',
      )
      let isOver = false
      let meanwhile = 0
      const cancelled = other.cancel([lease!.id, waiting.id], null).finally(() => (isOver = true))
      const refused = assert.rejects(cancelled, { code: 'store-busy' })
      for (let round = 0; round < 5; round += 1) {
        assert.notEqual(only(await store.renew([lease!], leaseMs)), 'stale')
        if (!isOver) meanwhile += 1
      }
      assert.deepEqual(await store.settle([finish(lease!)]), ['settled'])
      assert.ok(meanwhile > 0, 'a renewal is answered while the operator waits')
      await refused
    })
  },

  'a job that an open transaction completes is asked to end by each of two cancels': async (
    place,
  ) => {
    const { store, within } = place
    const [lease] = await running(place, [newJob()])
    assert.deepEqual(await store.cancel([lease!.id], null), ['asked'])
    await within(async (tx) => {
      assert.deepEqual(await store.settle([finish(lease!)], tx), ['settled'])
      assert.deepEqual(await store.cancel([lease!.id], null), ['asked'])
    })
  },

  'notes of a job that an open transaction completes do not keep the notes of others waiting':
    async (place) => {
      const { store, within } = place
      const [held, other] = await running(place, [newJob(), newJob()])
      const progress = (job: ClaimedJob, value: string) =>
        ({ id: job.id, token: job.token, kind: 'progress', value }) as const
      await store.note([progress(held!, '1'), progress(other!, '1')])
      await within(async (tx) => {
        assert.deepEqual(await store.settle([finish(held!, { keepMs: 0 })], tx), ['settled'])
        assert.deepEqual(await store.note([progress(held!, '2'), progress(other!, '2')]), [
          'noted',
          'noted',
        ])
        assert.equal(only(await store.get([other!.id]))?.progress, '2')
      })
    },
})

function rulesOf(
  sentences: Readonly<Record<string, (place: TransactionFixture) => Promise<void>>>,
): readonly Rule<TransactionHarness>[] {
  return Object.entries(sentences).map(([name, play]) => ({
    group: 'held',
    name,
    async run(harness: TransactionHarness): Promise<void> {
      const place = await harness.create()
      try {
        await play(place)
      } finally {
        await place.dispose()
      }
    },
  }))
}

/** Inserts jobs of one queue and claims them all. */
async function running(
  { store }: TransactionFixture,
  jobs: readonly NewJob[],
): Promise<readonly ClaimedJob[]> {
  await store.insert(jobs)
  const name = jobs[0]?.queue ?? 'queue'
  const claimed = await store.claim(claimOf({ queues: [{ name, limit: jobs.length }] }))
  assert.deepEqual(ids(claimed.jobs).sort(), ids(jobs).sort())
  return claimed.jobs
}

function ids(jobs: readonly { readonly id: string }[]): string[] {
  return jobs.map(({ id }) => id)
}

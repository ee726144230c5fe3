import assert from 'node:assert/strict'
import { isErrandError } from '../../core/errors.ts'
import type { Advance } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import { leaseMs, newJob, unique } from './jobs.ts'
import { both, twoClients } from './race.ts'
import { rulesOf } from './rule.ts'

/** A record moves together with jobs, or not at all. */
export const advanceRules: readonly Rule[] = rulesOf('advance', {
  'an advance moves its record and inserts its jobs': async (scene) => {
    const { store } = scene
    const jobs = [newJob(), newJob()]
    const first = await store.insert(jobs, { advance: [advance('cursor', null, '1', jobs)] })
    assert.deepEqual(statuses(first), ['created', 'created'])
    assert.deepEqual(await store.getRecords(['cursor']), ['1'])
    const next = [newJob({ delayMs: 1_000 })]
    await store.insert(next, { advance: [advance('cursor', '1', '2', next)] })
    assert.deepEqual(await store.getRecords(['cursor']), ['2'])
    const last = [newJob()]
    await store.insert(last, { advance: [advance('cursor', '2', null, last)] })
    assert.deepEqual(await store.getRecords(['cursor']), [null])
    const ids = [...jobs, ...next, ...last].map(({ id }) => id)
    const states = (await store.get(ids)).map((job) => job?.state)
    assert.deepEqual(states, ['ready', 'ready', 'scheduled', 'ready'])
  },

  'where a record is not where it should be, its jobs are stale and the others are inserted':
    async (scene) => {
      const { store } = scene
      await store.putRecords([{ key: 'moved', text: '5' }])
      const [late, never, other, free] = [newJob(), newJob(), newJob(), newJob()]
      const answers = await store.insert([late, free, never, other], {
        advance: [advance('moved', '4', '6', [late, never]), advance('other', null, '1', [other])],
      })
      assert.deepEqual(answers, [
        { id: late.id, status: 'stale', token: null },
        { id: free.id, status: 'created', token: null },
        { id: never.id, status: 'stale', token: null },
        { id: other.id, status: 'created', token: null },
      ])
      assert.deepEqual(await store.getRecords(['moved', 'other']), ['5', '1'])
      const known = await store.get([late, never].map(({ id }) => id))
      assert.deepEqual(known, [null, null])
    },

  'a thousand advances in one call, ten of them stale': async (scene) => {
    const { store } = scene
    const stale = new Set(Array.from({ length: 10 }, (_, n) => n * 97))
    const keyOf = (n: number): string => `tick:${String(n).padStart(4, '0')}`
    await store.putRecords([...stale].map((n) => ({ key: keyOf(n), text: 'elsewhere' })))
    const jobs = Array.from({ length: 1_000 }, () => newJob())
    const answers = await store.insert(jobs, {
      advance: jobs.map((job, n) => advance(keyOf(n), null, 'moved', [job])),
    })
    for (const [n, { status }] of answers.entries())
      assert.equal(status, stale.has(n) ? 'stale' : 'created', keyOf(n))
    const records = await allRecords(store, 'tick:')
    assert.equal(records.length, 1_000)
    assert.equal(records.filter(({ text }) => text === 'elsewhere').length, 10)
    const ready = (await store.counts()).find(({ state }) => state === 'ready')
    assert.equal(ready?.count, 990)
  },

  'a repeated insert with its advance adds nothing and is answered as the first was': async (
    scene,
  ) => {
    const { store } = scene
    const running = newJob({ entry: { kind: 'running', worker: 'w', leaseMs } })
    const jobs = [newJob(), running]
    const options = { advance: [advance('cursor', null, '1', jobs)] }
    const first = await store.insert(jobs, options)
    assert.deepEqual(await scene.changesNothing(() => store.insert(jobs, options)), first)
    assert.deepEqual(await store.getRecords(['cursor']), ['1'])
    const more = [jobs[0]!, newJob()]
    const later = { advance: [advance('cursor', null, '1', more)] }
    assert.deepEqual(statuses(await store.insert(more, later)), ['created', 'stale'])
  },

  'a job whose unique key is held is a duplicate, and its record moves all the same': async (
    scene,
  ) => {
    const { store } = scene
    const tick = (): NewJob => newJob({ unique: unique('overlap', { during: ['ready'] }) })
    const first = tick()
    await store.insert([first], { advance: [advance('cursor', null, '1', [first])] })
    const second = tick()
    const answers = await store.insert([second], {
      advance: [advance('cursor', '1', '2', [second])],
    })
    assert.deepEqual(answers, [{ id: first.id, status: 'duplicate', token: null }])
    assert.deepEqual(await store.getRecords(['cursor']), ['2'])
  },

  'an advance that no call can carry out is refused, and nothing is written': async (scene) => {
    const { store } = scene
    const [job, other] = [newJob(), newJob()]
    const refused = async (advances: readonly Advance[]): Promise<void> => {
      const call = store.insert([job], { advance: advances })
      await assert.rejects(call, (error) => isErrandError(error, 'invalid-option'))
    }
    await refused([advance('cursor', null, '1', [])])
    await refused([advance('cursor', null, '1', [other])])
    await refused([advance('cursor', null, '1', [job]), advance('second', null, '1', [job])])
    await refused([advance('cursor', null, '1', [job, job])])
    assert.deepEqual(await store.getRecords(['cursor', 'second']), [null, null])
    assert.equal(await scene.isKnown(job.id), false)
  },
})

/** Two clients at one record. */
export const advanceRaceRules: readonly Rule[] = rulesOf('races', {
  'two clients advance one record: exactly one wins': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const from = round === 0 ? null : String(round)
      const to = String(round + 1)
      const mine = [newJob(), newJob({ queue: 'other' })]
      const theirs = [newJob()]
      const [one, two] = await both(
        round,
        () => a.insert(mine, { advance: [advance('cursor', from, to, mine)] }),
        () => b.insert(theirs, { advance: [advance('cursor', from, to, theirs)] }),
      )
      const won = [...one, ...two].filter(({ status }) => status === 'created')
      const isMine = won.length === 2
      assert.deepEqual(statuses(one), isMine ? ['created', 'created'] : ['stale', 'stale'])
      assert.deepEqual(statuses(two), isMine ? ['stale'] : ['created'])
      assert.deepEqual(await scene.store.getRecords(['cursor']), [to])
      const known = await scene.store.get([...mine, ...theirs].map(({ id }) => id))
      assert.equal(known.filter((job) => job !== null).length, won.length)
    }
  },

  'many clients advance many records: each moves once for each step': async (scene) => {
    const clients = await scene.clients(3)
    const keys = Array.from({ length: 20 }, (_, n) => `lane:${n}`)
    let created = 0
    for (let step = 0; step < Math.min(scene.rounds, 10); step += 1) {
      const from = step === 0 ? null : String(step)
      const calls = clients.map((client) => {
        const jobs = keys.map(() => newJob())
        const order = [...keys.entries()].sort(() => Math.random() - 0.5)
        const moves = order.map(([n, key]) => advance(key, from, String(step + 1), [jobs[n]!]))
        return client.insert(jobs, { advance: moves })
      })
      const answers = (await Promise.all(calls)).flat()
      created += answers.filter(({ status }) => status === 'created').length
      assert.equal(created, keys.length * (step + 1))
    }
  },
})

function advance(
  key: string,
  from: string | null,
  to: string | null,
  jobs: readonly NewJob[],
): Advance {
  return { key, from, to, jobs: jobs.map(({ id }) => id) }
}

function statuses(answers: readonly { readonly status: string }[]): string[] {
  return answers.map(({ status }) => status)
}

async function allRecords(
  store: Store,
  prefix: string,
): Promise<{ readonly key: string; readonly text: string }[]> {
  const all: { readonly key: string; readonly text: string }[] = []
  for (;;) {
    const page = await store.listRecords({ prefix, after: all.at(-1)?.key ?? null, limit: 300 })
    all.push(...page)
    if (page.length < 300) return all
  }
}

/**
 * Short runs of the model against each store, and proof that it notices a store that is broken. What is drawn is the same each time, so that
 * a run which fails can be made again; `npm run model`, and ERRAND_FULL=1 here, draw anew.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Settlement } from '../../src/store/worker-calls.ts'
import type { Store } from '../../src/store/store.ts'
import { groundOf, storeNames, type Ground } from './places.ts'
import { search } from './search.ts'
import { isFull } from '../full.ts'

const seed = isFull ? Math.floor(Math.random() * 2 ** 31) : 20_261_122

const runs = { memory: 100, sqlite: 60, postgres: 40, redis: 80 } as const

for (const name of storeNames) {
  test(`${name} does what the model does`, { timeout: 300_000 }, async (context) => {
    const ground = await groundOf(name)
    if (ground === null) return context.skip(`no ${name} here`)
    try {
      const { difference } = await search(ground, {
        runs: runs[name],
        commands: 50,
        seed,
      })
      assert.equal(difference, null, difference ?? '')
    } finally {
      await ground.close()
    }
  })
}

/** Faults that stores are made to have, each of which the model must find. */
const faults: Readonly<Record<string, (store: Store) => Partial<Store>>> = {
  'settles whatever the token is': (store) => ({
    async settle(settlements) {
      const jobs = await store.get(settlements.map(({ id }) => id))
      const forged = settlements.map((one, index): Settlement => ({
        ...one,
        token: jobs[index]?.token ?? 0,
      }))
      return store.settle(forged)
    },
  }),
  'records whatever the token is': (store) => ({
    async record(records) {
      const jobs = await store.get(records.map(({ id }) => id))
      return store.record(records.map((one, n) => ({ ...one, token: jobs[n]?.token ?? 0 })))
    },
  }),
  'forgets a job of an insert': (store) => ({
    async insert(jobs) {
      const answers = await store.insert(jobs.slice(0, 2))
      return jobs.map(({ id }, index) => answers[index] ?? { id, status: 'created', token: null })
    },
  }),
  'inserts jobs whose record is elsewhere': (store) => ({
    insert: (jobs) => store.insert(jobs),
  }),
  'writes a record whatever it holds': (store) => ({
    putRecords: (writes) => store.putRecords(writes.map(({ key, text }) => ({ key, text }))),
  }),
  'cancels a job that is to fail for its need': (store) => ({
    insert: (jobs, options) =>
      store.insert(
        jobs.map((job) => ({
          ...job,
          needs: job.needs.map((need) =>
            need.onFailed === 'fail' ? { ...need, onFailed: 'cancel' as const } : need,
          ),
        })),
        options,
      ),
  }),
  'sweeps no overdue jobs': (store) => ({
    async rescue(request) {
      const swept = await store.rescue(request)
      return { ...swept, jobs: swept.jobs.filter(({ why }) => why === 'lost') }
    },
  }),
  'does not tell of a cancel': (store) => ({
    async renew(leases, leaseMs) {
      const answers = await store.renew(leases, leaseMs)
      return answers.map((answer) => (answer === 'cancel-asked' ? 'renewed' : answer))
    },
  }),
  'gives two claims the same job when they come at once': (store) => twoAtOnce(store),
}

/** Lets a claim that comes while another is under way have what the other was given. */
function twoAtOnce(store: Store): Partial<Store> {
  const underWay = new Set<ReturnType<Store['claim']>>()
  shared.add(underWay)
  return {
    async claim(request) {
      const [other] = [...shared].flatMap((claims) => [...claims])
      const claim = store.claim(request)
      underWay.add(claim)
      const [mine, theirs] = await Promise.all([claim, other ?? claim])
      await new Promise((resolve) => setImmediate(resolve))
      underWay.delete(claim)
      return { ...mine, jobs: mine.jobs.length > 0 ? mine.jobs : theirs.jobs }
    },
  }
}
const shared = new Set<Set<ReturnType<Store['claim']>>>()

for (const [fault, breakIt] of Object.entries(faults)) {
  test(`the model notices a store that ${fault}`, { timeout: 120_000 }, async () => {
    const ground = await groundOf('memory')
    assert.ok(ground)
    const broken: Ground = {
      ...ground,
      async open() {
        shared.clear()
        const place = await ground.open()
        return {
          ...place,
          clients: place.clients.map((store) => ({ ...store, ...breakIt(store) })),
        }
      },
    }
    const { difference } = await search(broken, { runs: 500, commands: 50, seed })
    assert.ok(difference !== null, 'no difference was found')
  })
}

/** What one call hands out is bounded in bytes, and nothing is lost by that. */
import assert from 'node:assert/strict'
import { handedBytes } from '../../core/job.ts'
import type { Claimed } from '../../store/worker-calls.ts'
import type { NewJob } from '../../store/job.ts'
import type { Page } from '../../store/readers.ts'
import type { Rule } from './harness.ts'
import { claimOf, rescueOf, finish, leaseMs, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

const large = JSON.stringify('x'.repeat(1_000_000))
/** More than one call hands out. */
const many = 20

/** Ways in which jobs become ready. */
const kinds: Readonly<Record<string, (at: number) => Partial<NewJob>>> = {
  'plain jobs': () => ({}),
  'jobs of several priorities': (at) => ({ priority: at < 10 ? 1 : 2 }),
  'jobs with keys and bounds': (at) => ({ unique: unique(`key ${at}`), deadlineMs: leaseMs }),
  'jobs that were due later': () => ({ delayMs: 1_000 }),
  'jobs of several queues': (at) => ({ queue: at < 5 ? 'first' : 'queue' }),
  'large jobs among small ones': (at) => (at % 4 === 3 ? {} : { input: '{}' }),
}

const claimSizeRules: readonly Rule[] = Object.entries(kinds).flatMap(([kind, over]) =>
  rulesOf('sizes', {
    [`claims of ${kind} end at 8 MiB of inputs and say so, and the next goes on behind them`]:
      async (scene) => {
        const count = kind === 'large jobs among small ones' ? 4 * many : many
        const jobs = Array.from({ length: count }, (_, at) => newJob({ input: large, ...over(at) }))
        for (let from = 0; from < count; from += 5)
          await scene.store.insert(jobs.slice(from, from + 5))
        await scene.advance(1_000)
        const queues = ['first', 'queue'].map((name) => ({ name, limit: 1_000 }))
        const claims = await untilAll(scene, count, () => scene.store.claim(claimOf({ queues })))
        assert.deepEqual(
          claims.flatMap((claim) => claim.jobs.map(({ id }) => id)),
          jobs.map(({ id }) => id),
        )
        const running = (await scene.store.counts()).filter(({ state }) => state === 'running')
        assert.equal(
          running.reduce((sum, one) => sum + one.count, 0),
          count,
        )
        assert.ok((await scene.store.counts()).every(({ state }) => state === 'running'))
      },
  }),
)

export const sizeRules: readonly Rule[] = [
  ...claimSizeRules,
  ...rulesOf('sizes', {
    'a job that is larger than all that a call hands out comes all the same': async (scene) => {
      const input = JSON.stringify('x'.repeat(handedBytes))
      await scene.store.insert([newJob({ input })])
      const next = await scene.enqueue()
      assert.equal(only((await scene.store.claim(claimOf())).jobs).input, input)
      assert.deepEqual(await scene.claimIds(), [next])
    },

    'a page ends at 8 MiB of inputs and outputs, and the next ones show the rest': async (
      scene,
    ) => {
      const ids: string[] = []
      for (let from = 0; from < many; from += 5) {
        const jobs = Array.from({ length: 5 }, (_, at) => newJob(at < 2 ? {} : { input: large }))
        await scene.store.insert(jobs)
        ids.unshift(...jobs.map(({ id }) => id).toReversed())
        const claimed = await scene.claim()
        await scene.store.settle(
          claimed.map((job) => finish(job, job.input === large ? {} : { output: large })),
        )
      }
      for (const query of [{}, { states: ['completed'] }] as const) {
        const seen: string[] = []
        let pages = 0
        for (let after: string | null = ''; after !== null; pages += 1) {
          const asked = { ...query, limit: 100, ...(after === '' ? {} : { after }) }
          const page: Page = await scene.store.list(asked)
          const sizes = page.jobs.map(({ input, output }) => input.length + (output?.length ?? 0))
          const size = sizes.reduce((sum, one) => sum + one, 0)
          assert.ok(size - (sizes.at(-1) ?? 0) < handedBytes, `one page has ${size} bytes`)
          seen.push(...page.jobs.map(({ id }) => id))
          after = page.next
        }
        assert.deepEqual(seen, ids)
        assert.ok(pages > 1)
      }
    },

    'a sweep ends at 8 MiB of inputs and says so, and the next finds the rest': async (scene) => {
      const lost = Array.from({ length: many }, () => newJob({ input: large }))
      for (let from = 0; from < many; from += 5)
        await scene.store.insert(lost.slice(from, from + 5))
      for (let count = 0; count < many;)
        count += (await scene.store.claim(claimOf({ leaseMs: minute }))).jobs.length
      const overdue = Array.from({ length: many }, () =>
        newJob({ input: large, deadlineMs: 1, delayMs: minute }),
      )
      for (let from = 0; from < many; from += 5)
        await scene.store.insert(overdue.slice(from, from + 5))
      await scene.advance(minute + 1)
      const sweeps = await untilAll(scene, 2 * many, () =>
        scene.store.rescue(rescueOf({ leaseMs: 10 * minute })),
      )
      assert.deepEqual(
        new Set(sweeps.flatMap(({ jobs }) => jobs.map(({ id }) => id))),
        new Set([...lost, ...overdue].map(({ id }) => id)),
      )
    },
  }),
]

/** Repeats a call that hands out jobs until it gave so many; each is bounded, and says whether there is more. */
async function untilAll(
  scene: Scene,
  count: number,
  call: () => Promise<Claimed>,
): Promise<readonly Claimed[]> {
  const claims: Claimed[] = []
  for (let given = 0; given < count;) {
    const claim = await call()
    const sizes = claim.jobs.map(({ input }) => input.length)
    const size = sizes.reduce((sum, one) => sum + one, 0)
    assert.ok(size - (sizes.at(-1) ?? 0) < handedBytes, `one call gave ${size} bytes`)
    given += claim.jobs.length
    assert.ok(claim.jobs.length > 0, `${count - given} of ${count} jobs did not come`)
    assert.ok(claim.cut || given === count, 'a call that ended early did not say so')
    claims.push(claim)
  }
  assert.ok(claims.length > 1)
  assert.deepEqual(await scene.claimIds(), [])
  return claims
}

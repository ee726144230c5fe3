import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import type { Store } from '../../store/store.ts'
import { requeue, claimOf, finish, leaseMs, newJob } from './jobs.ts'
import { assertSame, both, twoClients } from './race.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** What people do to jobs against what happens to them meanwhile. */
export const operatorRaceRules: readonly Rule[] = rulesOf('races', {
  'cancel against claim: the job is cancelled and not claimed, or claimed and asked': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const id = await scene.enqueue()
      const [claimed, cancelled] = await both(
        round,
        () => a.claim(claimOf()),
        () => b.cancel([id], null),
      )
      const outcome = `${claimed.jobs.length} ${only(cancelled)}`
      assert.ok(['1 asked', '0 cancelled'].includes(outcome), outcome)
      await scene.store.settle(claimed.jobs.map((job) => finish(job)))
    }
  },

  'remove against claim: the job is gone, or it runs': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const id = await scene.enqueue()
      const [claimed, removed] = await both(
        round,
        () => a.claim(claimOf()),
        () => b.remove([id]),
      )
      const outcome = `${claimed.jobs.length} ${only(removed)} ${await scene.isKnown(id)}`
      assert.ok(['1 running true', '0 removed false'].includes(outcome), outcome)
      await scene.store.settle(claimed.jobs.map((job) => finish(job)))
    }
  },

  'remove against the insert of a job that needs the removed ones: it is cancelled, and does not wait for them':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      for (let round = 0; round < scene.rounds; round += 1) {
        const first = newJob()
        const between = newJob({ needs: [{ kind: 'job', id: first.id, onFailed: 'run' }] })
        const others = Array.from({ length: 30 }, () => newJob())
        await scene.store.insert([first, between, ...others])
        const needs = [between, ...others.slice(0, 1)].map(({ id }) => ({
          kind: 'job' as const,
          id,
          onFailed: 'cancel' as const,
        }))
        const job = newJob({ needs })
        const [, removed] = await both(
          round,
          () => a.insert([job]),
          () => b.remove([...others, first].map(({ id }) => id)),
        )
        assert.ok(removed.every((answer) => answer === 'removed'))
        assert.equal((await scene.job(job.id)).state, 'cancelled')
        await scene.store.remove([between.id, job.id])
      }
    },

  'remove against the insert of the job: it is not there yet, or is removed': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const [job, ...others] = Array.from({ length: 100 }, () => newJob({ delayMs: 60_000 }))
      assert.ok(job)
      await scene.store.insert(others)
      const [, answers] = await both(
        round,
        () => a.insert([job]),
        () => b.remove([...others, job].map(({ id }) => id)),
      )
      const [last] = answers.slice(-1)
      assert.ok(last === 'removed' || last === 'missing', String(last))
      await scene.store.remove([job.id])
    }
  },

  'of two takers one gets the job': async (scene) => {
    const clients = await scene.clients(3)
    for (let round = 0; round < scene.rounds; round += 1) {
      const job = await scene.running()
      await scene.settle(finish(job, { output: '1' }))
      const taken = await Promise.all(clients.map((client) => client.take([job.id])))
      assert.equal(only(taken.flat().filter((one) => one !== null)).output, '1')
    }
  },

  'of two operators one retries the job': async (scene) => {
    const clients = await scene.clients(3)
    const job = await scene.running()
    let running = job
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.settle(finish(running, { state: 'failed' }))
      const answers = (await Promise.all(clients.map((client) => client.retry([job.id])))).flat()
      assert.deepEqual(answers.sort(), ['retried', 'unfit', 'unfit'])
      running = await scene.claimOne()
    }
  },

  'two cancels of the same running jobs, each in an order of its own: both are told that they ask, and nobody waits for long':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      for (let round = 0; round < scene.rounds; round += 1) {
        await scene.store.insert(Array.from({ length: 60 }, () => newJob()))
        const running = await scene.claim({ limit: 60 })
        // From now on each of these has a lease of its own.
        await scene.store.renew(running.slice(1), leaseMs)
        const ids = running.slice(1).map(({ id }) => id)
        const answers = await both(
          round,
          () => a.cancel(ids, null),
          () => b.cancel(ids.toReversed(), null),
        )
        assert.ok(answers.flat().every((answer) => answer === 'asked'))
        await scene.store.settle(running.map((job) => finish(job, { state: 'cancelled' })))
      }
    },

  'two operators at the same jobs, each in an order of their own: each job is changed once, and nobody waits for long':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      for (let round = 0; round < scene.rounds; round += 1) {
        await scene.store.insert(Array.from({ length: 4 }, () => newJob()))
        const running = await scene.claim({ limit: 4 })
        // From now on two have leases of their own; the others share one.
        for (const job of running.slice(0, 2)) await scene.store.renew([job], leaseMs)
        const waiting = Array.from({ length: 4 }, () => newJob())
        await scene.store.insert(waiting)
        const ids = running.flatMap((job, at) => [job.id, waiting[at]!.id])
        const each = async <A>(
          call: (client: Store, ordered: readonly string[]) => Promise<readonly A[]>,
        ): Promise<string[]> => {
          const [first, second] = await both(
            round,
            () => call(a, ids),
            () => call(b, ids.toReversed()),
          )
          const answers = [...first, ...second].map((answer) => JSON.stringify(answer))
          return [...new Set(answers)].map(
            (answer) => `${answer} ${answers.filter((other) => other === answer).length}`,
          )
        }
        assertSame(await each((client, ordered) => client.cancel(ordered, null)), [
          '"asked" 8',
          '"cancelled" 4',
          '"final" 4',
        ])
        await scene.store.settle(running.map((job) => finish(job, { state: 'cancelled' })))
        assertSame(await each((client, ordered) => client.retry(ordered)), [
          '"retried" 8',
          '"unfit" 8',
        ])
        await scene.store.cancel(ids.slice(4), null)
        const taken = each(async (client, ordered) =>
          (await client.take(ordered)).map((job) => job?.state ?? null),
        )
        assertSame(await taken, ['"cancelled" 4', '"ready" 8', 'null 4'])
        assertSame(await each((client, ordered) => client.remove(ordered)), [
          '"missing" 12',
          '"removed" 4',
        ])
      }
    },

  'prune against retry: the job is gone, or it is ready': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const job = await scene.running()
      await scene.settle(finish(job, { state: 'failed', keepMs: 1 }))
      await scene.advance(2)
      const [pruned, retried] = await both(
        round,
        () => a.prune({ limit: 9, cap: 9 }),
        () => b.retry([job.id]),
      )
      const outcome = `${pruned.removed} ${only(retried)} ${(await scene.claim()).length}`
      assert.ok(['1 missing 0', '0 retried 1'].includes(outcome), outcome)
      await scene.advance(1)
    }
  },

  'a claim made after a pause was answered gets nothing': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.enqueue()
      await both(
        round,
        () => a.claim(claimOf()).then(({ jobs }) => a.settle(jobs.map((job) => requeue(job)))),
        () => b.pause(['queue']),
      )
      assert.deepEqual((await a.claim(claimOf())).jobs, [])
      await b.resume(['queue'])
      await scene.store.settle((await scene.claim()).map((job) => finish(job)))
    }
  },
})

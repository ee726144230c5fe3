import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, claimOf, finish, newJob } from './jobs.ts'
import { assertSame, both, drain, twoClients } from './race.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** Several claimers of the same jobs. */
export const claimRaceRules: readonly Rule[] = rulesOf('races', {
  'claimers share the jobs among them, and none is handed out twice': async (scene) => {
    const clients = await scene.clients(4)
    for (let round = 0; round < scene.rounds; round += 1) {
      const jobs = Array.from({ length: 30 }, (_, n) => newJob({ delayMs: n % 3 === 0 ? 1 : 0 }))
      await scene.store.insert(jobs)
      await scene.advance(2)
      const claims = await Promise.all(clients.map((client) => drain(client)))
      assertSame(
        claims.flat().map((job) => job.id),
        jobs.map((job) => job.id),
      )
      const answers = await Promise.all(
        claims.map((mine, index) =>
          clients[(index + 1) % 4]!.settle(mine.map((job) => finish(job, { keepMs: 0 }))),
        ),
      )
      assert.ok(answers.flat().every((answer) => answer === 'settled'))
    }
  },

  'two claimers of one suspect: one gets it': async (scene) => {
    const clients = await scene.clients(3)
    await scene.makeSuspect(await scene.running())
    for (let round = 0; round < scene.rounds; round += 1) {
      const claims = await Promise.all(
        clients.map((client) => client.claim(claimOf({ maxLosses: 5, id: null }))),
      )
      const job = only(claims.flatMap((claim) => claim.jobs))
      await scene.settle(requeue(job, { counters: job.counters }))
    }
  },

  'two claimers of an ordinary job, and of a suspect that stands between it and another: each gets one of the first two':
    async (scene) => {
      const clients = await twoClients(scene)
      await scene.makeSuspect(await scene.running({ priority: 1 }))
      const last = await scene.enqueue({ priority: 2 })
      for (let round = 0; round < scene.rounds; round += 1) {
        await scene.enqueue()
        const claims = await Promise.all(
          clients.map((client) => client.claim(claimOf({ limit: 1, maxLosses: 5, id: null }))),
        )
        const jobs = claims.map(({ jobs: [job] }) => job)
        const [ordinary, suspect] = jobs.toSorted((a, b) => (a?.priority ?? 3) - (b?.priority ?? 3))
        assert.ok(ordinary && suspect, 'each has a job')
        assert.deepEqual([ordinary.priority, suspect.priority], [0, 1])
        await scene.settle(finish(ordinary, { keepMs: 0 }))
        await scene.settle(requeue(suspect, { counters: suspect.counters }))
      }
      await scene.store.remove([last])
    },

  'a claimer that gets a suspect hides no job behind it from another': async (scene) => {
    const [a, b] = await twoClients(scene)
    const suspect = await scene.running({ priority: 1 })
    await scene.makeSuspect(suspect)
    await scene.enqueue({ priority: 3 })
    for (let round = 0; round < scene.rounds; round += 1) {
      const next = await scene.enqueue({ priority: 2 })
      const [first, second] = await both(
        round,
        () => a.claim(claimOf({ maxLosses: 5, id: null })),
        () => b.claim(claimOf({ limit: 1, maxLosses: null, id: null })),
      )
      const lost = only(first.jobs)
      assert.deepEqual([lost.id, only(second.jobs).id], [suspect.id, next])
      await scene.settle(finish(only(second.jobs), { keepMs: 0 }))
      await scene.settle(requeue(lost, { counters: lost.counters }))
    }
  },

  'a claimer that has enough hides no job behind it from another': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const first = await Promise.all([1, 2, 3].map(() => scene.enqueue()))
      const next = await scene.enqueue({ priority: 1 })
      await scene.enqueue({ priority: 2 })
      const [three, one] = await both(
        round,
        () => a.claim(claimOf({ limit: 3 })),
        () => b.claim(claimOf({ limit: 1 })),
      )
      assert.deepEqual([three.jobs.length, one.jobs.length], [3, 1])
      // Claims that run at once may take turns; together they have the first four.
      assertSame(
        [...three.jobs, ...one.jobs].map((job) => job.id),
        [...first, next],
      )
      await scene.store.settle(
        [...three.jobs, ...one.jobs].map((job) => finish(job, { keepMs: 0 })),
      )
      await drain(scene.store)
    }
  },
})

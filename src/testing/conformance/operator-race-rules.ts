import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { again, claimOf, finish } from './jobs.ts'
import { both, twoClients } from './race.ts'
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
        () => a.claim(claimOf()).then(({ jobs }) => a.settle(jobs.map((job) => again(job)))),
        () => b.pause(['queue']),
      )
      assert.deepEqual((await a.claim(claimOf())).jobs, [])
      await b.resume(['queue'])
      await scene.store.settle((await scene.claim()).map((job) => finish(job)))
    }
  },
})

import assert from 'node:assert/strict'
import type { Claimed, NewJob, Store } from '../../store.ts'
import type { Rule } from './harness.ts'
import { again, claimOf, expiredOf, finish, hour, leaseMs, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

/** Two or more clients at the same thing, many rounds over. `rounds` of the harness says how many. */
export const pairRaceRules: readonly Rule[] = rulesOf('races', {
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
        clients.map((client) => client.claim(claimOf({ suspects: 5 }))),
      )
      const job = only(claims.flatMap((claim) => claim.jobs))
      await scene.settle(again(job, { counters: job.counters }))
    }
  },

  'unique against unique: one is created, and all others learn its id': async (scene) => {
    const clients = await scene.clients(4)
    for (let round = 0; round < scene.rounds; round += 1) {
      const rule = unique(`key-${round}`, { onConflict: round % 2 === 0 ? 'skip' : 'replace' })
      const answers = await Promise.all(
        clients.map((client) =>
          client.insert([newJob({ unique: unique('other') }), newJob({ unique: rule })]),
        ),
      )
      const statuses = answers.map((answer) => answer[1]!.status)
      assert.equal(statuses.filter((status) => status === 'created').length, 1)
      assert.ok(statuses.every((status) => status !== (round % 2 === 0 ? 'replaced' : 'duplicate')))
      assert.equal(new Set(answers.map((answer) => answer[1]!.id)).size, 1)
    }
  },

  'the same insert by several clients makes one job': async (scene) => {
    const clients = await scene.clients(4)
    for (let round = 0; round < scene.rounds; round += 1) {
      const jobs = Array.from({ length: 5 }, () => newJob())
      const answers = await Promise.all(clients.map((client) => client.insert(jobs)))
      for (const answer of answers) assert.deepEqual(answer, answers[0])
      assertSame(
        await scene.claimIds(),
        jobs.map((job) => job.id),
      )
    }
  },

  'the same settlement by several clients is accepted once, and its follow-ups are inserted once':
    async (scene) => {
      const clients = await scene.clients(4)
      for (let round = 0; round < scene.rounds; round += 1) {
        const job = await scene.running()
        const followUp = newJob({ queue: 'follow-ups' })
        const sent = (round % 2 === 0 ? finish : again)(job, {
          error: '"once"',
          followUps: [followUp],
        })
        const answers = await Promise.all(clients.map((client) => client.settle([sent])))
        assert.deepEqual(answers.flat(), ['settled', 'settled', 'settled', 'settled'])
        await scene.shows(job.id, { errors: ['"once"'] })
        assert.deepEqual(await scene.claimIds({ queues: [{ name: 'follow-ups', limit: 9 }] }), [
          followUp.id,
        ])
        await scene.store.remove([job.id])
      }
    },

  'cancel against a settlement that yields: one of them wins, and both know which': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const job = await scene.running()
      const [settled, cancelled] = await both(
        round,
        () => a.settle([finish(job, { yieldsToCancel: true })]),
        () => b.cancel([job.id], null),
      )
      const { state } = await scene.job(job.id)
      const outcome = `${only(settled)} ${only(cancelled)} ${state}`
      assert.ok(
        ['settled final completed', 'cancel-asked asked running'].includes(outcome),
        outcome,
      )
      await scene.store.settle([finish(job, { state: 'cancelled' })])
    }
  },

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

  'a late settlement against the sweep: it is accepted, or the job goes to the sweeper': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const job = await scene.running()
      await scene.advance(leaseMs + 1)
      const [settled, swept] = await both(
        round,
        () => a.settle([finish(job, { output: '"first"' })]),
        () => b.expired(expiredOf()),
      )
      const outcome = `${only(settled)} ${swept.jobs.length}`
      assert.ok(['settled 0', 'stale 1'].includes(outcome), outcome)
      await scene.store.settle(swept.jobs.map((one) => finish(one, { output: '"second"' })))
      await scene.shows(job.id, {
        state: 'completed',
        output: swept.jobs.length === 0 ? '"first"' : '"second"',
      })
    }
  },

  'a late renewal against the sweep: the lease is extended, or the job goes to the sweeper': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const job = await scene.running()
      await scene.advance(leaseMs + 1)
      const [renewed, swept] = await both(
        round,
        () => a.renew([job], leaseMs),
        () => b.expired(expiredOf()),
      )
      const outcome = `${only(renewed)} ${swept.jobs.length}`
      assert.ok(['renewed 0', 'stale 1'].includes(outcome), outcome)
      await scene.store.settle([job, ...swept.jobs].map((one) => finish(one)))
    }
  },

  'sweepers share what was lost, and none is handed out twice': async (scene) => {
    const clients = await scene.clients(3)
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.store.insert(Array.from({ length: 5 }, () => newJob()))
      const claimed = await scene.claimIds()
      const overdue = newJob({ startWithinMs: 1 })
      await scene.store.insert([overdue])
      await scene.advance(leaseMs + 1)
      const swept = (
        await Promise.all(clients.map((client) => client.expired(expiredOf({ limit: 4 }))))
      ).flatMap((answer) => answer.jobs)
      assertSame(
        swept.map((job) => job.id),
        [...claimed, overdue.id],
      )
      await scene.store.settle(swept.map((job) => finish(job)))
    }
  },

  'claim against sweep of an overdue job: one of them gets it': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.enqueue({ startWithinMs: 1 })
      await scene.advance(2)
      const [claimed, swept] = await both<Claimed, Claimed>(
        round,
        () => a.claim(claimOf()),
        () => b.expired(expiredOf()),
      )
      await scene.settle(finish(only([...claimed.jobs, ...swept.jobs])))
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

  'both sides of a diamond settled at once make the join ready once': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const sides = [
        await scene.running({ queue: 'sides' }),
        await scene.running({ queue: 'sides' }),
      ]
      const needs = sides.map(({ id }) => ({ id, onFailed: 'cancel' as const }))
      const join = await scene.enqueue({ needs })
      await both(
        round,
        () => a.settle([finish(sides[0]!)]),
        () => b.settle([finish(sides[1]!)]),
      )
      assert.deepEqual(await scene.claimIds(), [join])
    }
  },

  'a job inserted while its need ends does not wait for ever': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const need = await scene.running({ queue: 'needs' })
      const job = newJob({ needs: [{ id: need.id, onFailed: 'cancel' }] })
      await both(
        round,
        () => a.insert([job]),
        () => b.settle([finish(need)]),
      )
      assert.deepEqual(await scene.claimIds(), [job.id])
    }
  },

  'a job that comes back against an insert of its key: one of them holds it': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const make = (): NewJob => newJob({ unique: unique(`key-${round}`), delayMs: hour })
      const first = make()
      await scene.store.insert([{ ...first, delayMs: 0 }])
      const running = await scene.claimOne()
      const second = make()
      const [settled, inserted] = await both(
        round,
        () => a.settle([again(running, { delayMs: hour })]),
        () => b.insert([second]),
      )
      assert.equal(only(settled), 'settled')
      const { status, id } = only(inserted)
      assert.equal(id, status === 'created' ? second.id : first.id)
      assert.deepEqual(await scene.store.insert([make()]), [
        { id, status: 'duplicate', token: null },
      ])
      await scene.store.remove([first.id, second.id])
    }
  },

  'the hour at which a key is free: one of several inserts takes it': async (scene) => {
    const clients = await scene.clients(3)
    const rule = unique('key', { during: [], forMs: minute })
    for (let round = 0; round < scene.rounds; round += 1) {
      const answers = (
        await Promise.all(clients.map((client) => client.insert([newJob({ unique: rule })])))
      ).flat()
      assert.equal(answers.filter((answer) => answer.status === 'created').length, 1)
      await scene.advance(minute + 1)
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

async function twoClients(scene: Scene): Promise<[Store, Store]> {
  return [await scene.another(), await scene.another()]
}

/** Makes two calls at once, the first one first in even rounds and last in odd ones. */
async function both<A, B>(
  round: number,
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<[A, B]> {
  if (round % 2 === 0) return Promise.all([first(), second()])
  const answer = second()
  return Promise.all([first(), answer])
}

async function drain(client: Store): Promise<Claimed['jobs'][number][]> {
  const all: Claimed['jobs'][number][] = []
  for (;;) {
    const { jobs } = await client.claim(claimOf({ limit: 3 }))
    if (jobs.length === 0) return all
    all.push(...jobs)
  }
}

function assertSame(actual: readonly string[], expected: readonly string[]): void {
  assert.deepEqual([...actual].sort(), [...expected].sort())
}

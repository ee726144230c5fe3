import assert from 'node:assert/strict'
import type { Claimed } from '../../store/worker-calls.ts'
import type { InsertAnswer } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
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
} from './jobs.ts'
import { assertSame, both, bothPromptly, twoClients } from './race.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** Two or more clients at the same thing, many rounds over. `rounds` of the harness says how many. */
export const pairRaceRules: readonly Rule[] = rulesOf('races', {
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

  'inserts of the same keys, each in an order of its own: one is created of each, and nobody waits for long':
    async (scene) => {
      const clients = await scene.clients(4)
      for (let round = 0; round < scene.rounds; round += 1) {
        const onConflict = round % 2 === 0 ? 'skip' : 'replace'
        const keys = Array.from({ length: 8 }, (_, n) => `key-${Math.floor(round / 3)}-${n}`)
        const answers = await Promise.all(
          clients.map(async (client, index) => {
            const ordered = [...keys.slice(index * 2), ...keys.slice(0, index * 2)]
            if (index % 2 === 1) ordered.reverse()
            const jobs = ordered.map((key) => newJob({ unique: unique(key, { onConflict }) }))
            const inserted = await client.insert(jobs)
            return ordered.map((key, place) => ({ key, ...inserted[place]! }))
          }),
        )
        for (const key of keys) {
          const answered = answers.flat().filter((answer) => answer.key === key)
          const created = answered.filter(({ status }) => status === 'created')
          assert.equal(created.length, round % 3 === 0 ? 1 : 0)
          assert.equal(new Set(answered.map(({ id }) => id)).size, 1)
        }
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

  'of two inserts of one id, one with a key, the key is held only if the job that is kept has it':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      for (let round = 0; round < scene.rounds; round += 1) {
        const plain = newJob({ delayMs: round % 3 === 0 ? hour : 0, startWithinMs: hour })
        const rule = unique('k')
        await both(
          round,
          () => a.insert([plain]),
          () => b.insert([{ ...plain, unique: rule }]),
        )
        const { uniqueKey } = await scene.job(plain.id)
        const rival = only(await scene.store.insert([newJob({ unique: rule })]))
        assert.equal(rival.status, uniqueKey === null ? 'created' : 'duplicate')
        await scene.store.remove([plain.id, rival.id])
      }
    },

  'the same settlement by several clients is accepted once, and its follow-ups are inserted once':
    async (scene) => {
      const clients = await scene.clients(4)
      for (let round = 0; round < scene.rounds; round += 1) {
        const job = await scene.running()
        const followUp = newJob({ queue: 'follow-ups' })
        const sent = (round % 2 === 0 ? finish : requeue)(job, {
          attempt: '"once"',
          followUps: [followUp],
        })
        const answers = await Promise.all(clients.map((client) => client.settle([sent])))
        assert.deepEqual(answers.flat(), ['settled', 'settled', 'settled', 'settled'])
        await scene.shows(job.id, { attempts: ['"once"'] })
        assert.deepEqual(await scene.claimIds({ queues: [{ name: 'follow-ups', limit: 9 }] }), [
          followUp.id,
        ])
        await scene.store.remove([job.id])
      }
    },

  'a renewal beside notes of the same jobs: every lease is extended, and every note written':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      await scene.store.insert(Array.from({ length: 12 }, () => newJob()))
      const jobs = await scene.claim({ limit: 12 })
      const ids = jobs.map(({ id }) => id)
      // From now on each has a lease of its own.
      for (const job of jobs) await scene.store.renew([job], leaseMs)
      for (let round = 0; round < scene.rounds; round += 1) {
        await scene.advance(1)
        const { now } = await a.claim(claimOf({ limit: 1 }))
        const value = String(round)
        const done = await bothPromptly(
          round,
          () => a.renew(jobs, leaseMs),
          () => b.note(jobs.toReversed().map((job) => ({ ...job, kind: 'progress', value }))),
        )
        if (done === null) continue
        for (const job of await scene.store.get(ids)) {
          scene.near(job?.leaseUntil ?? null, now + leaseMs, 'end of the lease')
          assert.equal(job?.progress, value)
        }
      }
    },

  'a settlement beside notes of the same jobs: a start that is noted stands in the history': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.store.insert(Array.from({ length: 6 }, () => newJob()))
      const jobs = await scene.claim({ limit: 6 })
      // From now on each has a lease of its own.
      for (const job of jobs) await scene.store.renew([job], leaseMs)
      const done = await bothPromptly(
        round,
        () => a.settle(jobs.toReversed().map((job) => finish(job, { attempt: '"e"' }))),
        () => b.note(jobs.map((job) => ({ ...job, kind: 'start', agoMs: 0 }))),
      )
      if (done === null) continue
      const [settled, noted] = done
      assert.ok(settled.every((answer) => answer === 'settled'))
      const ended = await scene.store.get(jobs.map(({ id }) => id))
      assert.deepEqual(
        ended.map((job) => job?.startedAt !== null),
        noted.map((answer) => answer === 'noted'),
      )
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
        () => b.rescue(rescueOf()),
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
        () => b.rescue(rescueOf()),
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
        await Promise.all(clients.map((client) => client.rescue(rescueOf({ limit: 4 }))))
      ).flatMap((answer) => answer.jobs)
      assertSame(
        swept.map((job) => job.id),
        [...claimed, overdue.id],
      )
      await scene.store.settle(swept.map((job) => finish(job)))
    }
  },

  'a settlement that comes twice in one call, against a remove: it is accepted both times': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      await scene.enqueue()
      const job = only((await a.claim(claimOf())).jobs)
      const [answers] = await both(
        round,
        () => a.settle([finish(job), requeue(job)]),
        async () => {
          for (let tries = 0; tries < 50; tries += 1)
            if ((await b.remove([job.id])).includes('removed')) return
        },
      )
      assert.deepEqual(answers, ['settled', 'settled'])
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
        () => b.rescue(rescueOf()),
      )
      await scene.settle(finish(only([...claimed.jobs, ...swept.jobs])))
    }
  },

  'replace against sweep of an overdue job: it is swept, or has its new time': async (scene) => {
    const [a, b] = await twoClients(scene)
    const rule = unique('k', { onConflict: 'replace' })
    for (let round = 0; round < scene.rounds; round += 1) {
      const others = Array.from({ length: 20 }, () => newJob({ startWithinMs: 1 }))
      await scene.store.insert([...others, newJob({ unique: rule, startWithinMs: 1 })])
      await scene.advance(2)
      const [inserted, swept] = await both<readonly InsertAnswer[], Claimed>(
        round,
        () => a.insert([newJob({ unique: rule })]),
        () => b.rescue(rescueOf({ limit: 100 })),
      )
      const isReplaced = only(inserted).status === 'replaced'
      assert.equal(swept.jobs.length, others.length + (isReplaced ? 0 : 1))
      const { jobs } = await scene.store.claim(claimOf())
      await scene.store.settle([...swept.jobs, ...jobs].map((job) => finish(job, { keepMs: 0 })))
    }
  },

  'both sides of a diamond settled at once make the join ready once': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const sides = [
        await scene.running({ queue: 'sides' }),
        await scene.running({ queue: 'sides' }),
      ]
      const needs = sides.map(({ id }) => ({
        kind: 'job' as const,
        id,
        onFailed: 'cancel' as const,
      }))
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
      const job = newJob({ needs: [{ kind: 'job', id: need.id, onFailed: 'cancel' }] })
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
        () => a.settle([requeue(running, { delayMs: hour })]),
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
})

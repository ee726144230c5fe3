import assert from 'node:assert/strict'
import { noCounters } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { requeue, rescueOf, finish, hour, leaseMs, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** What becomes of new work. */
export const insertRules: readonly Rule[] = rulesOf('insert', {
  'a job that is due now is ready, with every field as it was given': async (scene) => {
    const job = newJob({
      task: 'mail.send',
      queue: 'mail',
      priority: -7,
      input: '{"to":"ada"}',
      codec: 'secret',
      options: '{"timeoutMs":5}',
      parent: newJob().id,
      group: 'import-7',
      tags: ['eu', 'a \'"\\ tag'],
      headers: { tenant: 'ada', traceparent: '00-1' },
    })
    const now = await scene.now()
    assert.deepEqual(await scene.store.insert([job]), [
      { id: job.id, status: 'created', token: null },
    ])
    const expected: StoredJob = {
      id: job.id,
      task: 'mail.send',
      queue: 'mail',
      state: 'ready',
      priority: -7,
      input: '{"to":"ada"}',
      codec: 'secret',
      options: '{"timeoutMs":5}',
      parent: job.parent,
      group: 'import-7',
      tags: ['eu', 'a \'"\\ tag'],
      headers: { tenant: 'ada', traceparent: '00-1' },
      uniqueKey: null,
      createdAt: now,
      dueAt: now,
      startBy: null,
      deadlineAt: null,
      counters: noCounters,
      token: 0,
      worker: null,
      leaseUntil: null,
      startedAt: null,
      finishedAt: null,
      expiresAt: null,
      cancelAsked: false,
      progress: null,
      attempts: [],
      output: null,
      reason: null,
    }
    const stored = await scene.job(job.id)
    scene.same(stored, expected)
    assert.deepEqual(Object.keys(stored).sort(), Object.keys(expected).sort())
  },

  'a delay is added to the time of the store and makes the job scheduled': async (scene) => {
    const now = await scene.now()
    const id = await scene.enqueue({ delayMs: minute })
    await scene.shows(id, { state: 'scheduled', createdAt: now, dueAt: now + minute })
  },

  'runAt is absolute and wins over the delay': async (scene) => {
    const now = await scene.now()
    const later = await scene.enqueue({ runAt: now + hour, delayMs: 5 })
    const past = await scene.enqueue({ runAt: now - hour, delayMs: minute })
    await scene.shows(later, { state: 'scheduled' })
    await scene.shows(past, { state: 'ready' })
    assert.equal((await scene.job(later)).dueAt, now + hour)
    assert.equal((await scene.job(past)).dueAt, now - hour)
  },

  'startBy counts from the first due time and deadlineAt from the insert': async (scene) => {
    const now = await scene.now()
    const id = await scene.enqueue({ delayMs: minute, startWithinMs: 1_000, deadlineMs: hour })
    await scene.shows(id, { startBy: now + minute + 1_000, deadlineAt: now + hour })
  },

  'a batch answers in its own order': async (scene) => {
    const jobs = Array.from({ length: 50 }, () => newJob()).reverse()
    const answers = await scene.store.insert(jobs)
    assert.deepEqual(
      answers,
      jobs.map(({ id }) => ({ id, status: 'created', token: null })),
    )
  },

  'a batch of 1,000 jobs goes in whole': async (scene) => {
    const jobs = Array.from({ length: 1_000 }, () => newJob())
    await scene.store.insert(jobs)
    assert.equal((await scene.claim()).length, 1_000)
  },

  'an id that comes twice in a batch is inserted once, as it came first': async (scene) => {
    const job = newJob({ input: '1' })
    const answers = await scene.store.insert([job, { ...job, input: '2' }])
    assert.deepEqual(
      answers.map((answer) => answer.status),
      ['created', 'created'],
    )
    assert.equal((await scene.picture()).jobs.length, 1)
    await scene.shows(job.id, { input: '1' })
  },

  'an insert whose answer was lost can be repeated by another client': async (scene) => {
    const jobs = [newJob(), newJob({ delayMs: minute })]
    const first = await scene.store.insert(jobs)
    const other = await scene.another()
    const second = await scene.changesNothing(() => other.insert(jobs))
    assert.deepEqual(second, first)
  },

  'an insert repeated after the job has ended adds nothing and does not run it again': async (
    scene,
  ) => {
    const job = newJob()
    await scene.store.insert([job])
    await scene.settle(finish(await scene.claimOne()))
    await scene.changesNothing(() => scene.store.insert([job]))
    assert.deepEqual(await scene.claim(), [])
  },

  'texts come back as they were given, whatever is in them': async (scene) => {
    const texts = [
      '',
      '"',
      "''",
      '\\u0000',
      '\n\r\t',
      '{"a":"ünï 🦉 \u2028"}',
      '%s $1 ?1 :a {b}',
      'x'.repeat(1 << 20),
    ]
    for (const text of texts) {
      const id = await scene.enqueue({ input: text, options: text })
      const job = await scene.claimOne()
      assert.equal(job.input, text)
      assert.equal(job.options, text)
      await scene.settle(finish(job, { output: text, attempt: text }))
      const stored = await scene.job(id)
      assert.equal(stored.output, text)
      assert.deepEqual(stored.attempts, [text])
    }
  },

  'names of queues, tasks, keys and workers may hold any character': async (scene) => {
    for (const name of ['a:b', 'a b', '{a}', '*', "o'neil", 'ünï', '__proto__', 'A', 'a']) {
      const unique = {
        key: name,
        during: ['ready' as const],
        forMs: null,
        onConflict: 'skip' as const,
        maxWaitMs: null,
      }
      const id = await scene.enqueue({ queue: name, task: name, unique })
      const job = await scene.claimOne({ worker: name, queues: [{ name, limit: 5 }] })
      assert.deepEqual([job.id, job.queue, job.task, job.uniqueKey], [id, name, name, name])
      await scene.shows(id, { worker: name })
    }
  },

  'an inline job is inserted as running under the lease of its caller': async (scene) => {
    const now = await scene.now()
    const job = newJob({ entry: { kind: 'running', worker: 'me', leaseMs } })
    const { token, status } = only(await scene.store.insert([job]))
    assert.equal(status, 'created')
    assert.ok(token !== null && token > 0)
    const running = {
      state: 'running',
      token,
      worker: 'me',
      leaseUntil: now + leaseMs,
      startedAt: now,
    } as const
    await scene.shows(job.id, running)
    assert.deepEqual(await scene.claim(), [])
    assert.equal(await scene.settle(finish({ id: job.id, token }, { output: '1' })), 'settled')
    await scene.shows(job.id, { state: 'completed', output: '1' })
  },

  'the repeated insert of an inline job answers the same token': async (scene) => {
    const job = newJob({ entry: { kind: 'running', worker: 'me', leaseMs } })
    const first = await scene.store.insert([job])
    assert.deepEqual(await scene.changesNothing(() => scene.store.insert([job])), first)
  },

  'an inline job whose caller died is rescued as started': async (scene) => {
    const now = await scene.now()
    await scene.store.insert([newJob({ entry: { kind: 'running', worker: 'me', leaseMs } })])
    const job = await scene.rescue()
    assert.equal(job.why, 'lost')
    scene.near(job.startedAt, now)
  },

  'an inline job that is put back waits as any other': async (scene) => {
    const job = newJob({ entry: { kind: 'running', worker: 'me', leaseMs } })
    const { token } = only(await scene.store.insert([job]))
    await scene.settle(requeue({ id: job.id, token: token as number }))
    const claimed = await scene.claimOne()
    assert.equal(claimed.id, job.id)
    assert.ok(claimed.token > (token as number))
  },

  'empty batches answer nothing and change nothing': async (scene) => {
    await scene.enqueue()
    await scene.changesNothing(async () => {
      const { store } = scene
      const answers = [
        await store.insert([]),
        await store.settle([]),
        await store.renew([], leaseMs),
        await store.note([]),
        await store.get([]),
        await store.cancel([], null),
        await store.retry([]),
        await store.remove([]),
        await store.take([]),
        (
          await store.claim({
            worker: 'w',
            queues: [],
            others: 0,
            limit: 9,
            leaseMs,
            maxLosses: 9,
            id: null,
          })
        ).jobs,
        (await store.rescue(rescueOf({ tasks: [] }))).jobs,
      ]
      for (const answer of answers) assert.deepEqual(answer, [])
    })
  },
})

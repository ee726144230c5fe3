import assert from 'node:assert/strict'
import type { Inserted } from '../../store/intake.ts'
import type { RecordAnswer } from '../../store/worker-calls.ts'
import type { Rule } from './harness.ts'
import { finish, hour, newJob, requeue, unique } from './jobs.ts'
import { both, twoClients } from './race.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

/** Small texts by key. */
export const recordRules: readonly Rule[] = rulesOf('records', {
  'a record is written, replaced and removed': async ({ store }) => {
    assert.deepEqual(await store.getRecords(['a', 'b']), [null, null])
    const first = [
      { key: 'a', text: '1' },
      { key: 'b', text: 'ünï 😀 \n' },
    ]
    assert.deepEqual(await store.putRecords(first), ['put', 'put'])
    assert.deepEqual(await store.getRecords(['b', 'a', 'b']), ['ünï 😀 \n', '1', 'ünï 😀 \n'])
    await store.putRecords([
      { key: 'a', text: '2' },
      { key: 'b', text: null },
    ])
    assert.deepEqual(await store.getRecords(['a', 'b']), ['2', null])
    assert.deepEqual(await store.putRecords([]), [])
    assert.deepEqual(await store.getRecords([]), [])
  },

  'a record that must hold a text is written only if it does': async ({ store }) => {
    const put = async (text: string | null, expected: string | null): Promise<string> =>
      only(await store.putRecords([{ key: 'k', text, if: expected }]))
    assert.equal(await put('1', '0'), 'stale')
    assert.equal(await put('1', null), 'put')
    assert.equal(await put('2', null), 'stale')
    assert.equal(await put('2', '1'), 'put')
    assert.equal(await put('3', '1'), 'stale')
    assert.equal(await put(null, '1'), 'stale')
    assert.deepEqual(await store.getRecords(['k']), ['2'])
    assert.equal(await put(null, '2'), 'put')
    assert.equal(await put(null, null), 'put')
    assert.deepEqual(await store.getRecords(['k']), [null])
  },

  'one stale write of a call leaves the others as they are': async ({ store }) => {
    await store.putRecords([{ key: 'b', text: 'x' }])
    const answers = await store.putRecords([
      { key: 'a', text: '1', if: null },
      { key: 'b', text: '1', if: null },
      { key: 'c', text: '1' },
    ])
    assert.deepEqual(answers, ['put', 'stale', 'put'])
    assert.deepEqual(await store.getRecords(['a', 'b', 'c']), ['1', 'x', '1'])
  },

  'records are listed by prefix, in the order of their keys, page by page': async ({ store }) => {
    const keys = ['p', 'p/', 'p/1', 'p/10', 'p/2', 'p%', 'p_x', 'q/1', 'P/1']
    await store.putRecords(keys.map((key) => ({ key, text: key.toUpperCase() })))
    const list = (prefix: string, after: string | null, limit: number): Promise<string[]> =>
      store.listRecords({ prefix, after, limit }).then((found) => found.map(({ key }) => key))
    assert.deepEqual(await list('p/', null, 10), ['p/', 'p/1', 'p/10', 'p/2'])
    assert.deepEqual(await list('p/', null, 2), ['p/', 'p/1'])
    assert.deepEqual(await list('p/', 'p/1', 2), ['p/10', 'p/2'])
    assert.deepEqual(await list('p%', null, 9), ['p%'])
    assert.deepEqual(await list('p_', null, 9), ['p_x'])
    assert.deepEqual(await list('none', null, 9), [])
    assert.equal((await list('', null, 100)).length, keys.length)
    const [first] = await store.listRecords({ prefix: 'q', after: null, limit: 1 })
    assert.deepEqual(first, { key: 'q/1', text: 'Q/1' })
  },
})

/** Records of runs: durable and fenced, for later attempts of the same job. */
export const runRecordRules: readonly Rule[] = rulesOf('run records', {
  'a later attempt reads what an earlier one recorded': async (scene) => {
    const { store } = scene
    const job = await scene.running()
    const at = { id: job.id, token: job.token }
    const answers = await store.record([
      { ...at, name: 'step 2', text: '{"b":"ü"}' },
      { ...at, name: 'step 1', text: 'null' },
    ])
    assert.deepEqual(answers, ['recorded', 'recorded'])
    await scene.settle(requeue(job))
    const next = await scene.claimOne()
    const all = [
      { name: 'step 1', text: 'null' },
      { name: 'step 2', text: '{"b":"ü"}' },
    ]
    assert.deepEqual(await recordsOf(scene, job.id), all)
    await store.record([{ id: next.id, token: next.token, name: 'step 1', text: '2' }])
    assert.deepEqual(await recordsOf(scene, job.id), [{ name: 'step 1', text: '2' }, all[1]])
  },

  'records survive a worker that was killed, and its own late ones are stale': async (scene) => {
    const { store } = scene
    const job = await scene.running()
    const record = { id: job.id, token: job.token, name: 'paid', text: '"yes"' }
    await store.record([record])
    const rescued = await scene.rescue()
    const late = { ...record, text: '"twice"' }
    const answers = await scene.changesNothing(() => store.record([late, { ...late, name: 'new' }]))
    assert.deepEqual(answers, ['stale', 'stale'])
    await scene.settle(requeue(rescued, { started: true, suspect: true }))
    const next = await scene.claimOne()
    assert.deepEqual(await recordsOf(scene, job.id), [{ name: 'paid', text: '"yes"' }])
    const own = { id: next.id, token: next.token, name: 'sent', text: '1' }
    assert.deepEqual(await store.record([late, own]), ['stale', 'recorded'])
  },

  'a job that does not run has no records written': async (scene) => {
    const { store } = scene
    const waiting = await scene.enqueue()
    const job = await scene.running({ queue: 'b' })
    await scene.settle(finish(job))
    const answers = await store.record([
      { id: waiting, token: 0, name: 'n', text: '1' },
      { id: job.id, token: job.token, name: 'n', text: '1' },
      { id: newJob().id, token: 1, name: 'n', text: '1' },
    ])
    assert.deepEqual(answers, ['stale', 'stale', 'stale'])
    assert.deepEqual(await recordsOf(scene, job.id), [])
  },

  'records stay with the finished job and with its retry, and go when the job does': async (
    scene,
  ) => {
    const { store } = scene
    const job = await scene.running()
    await store.record([{ id: job.id, token: job.token, name: 'n', text: '1' }])
    await scene.settle(finish(job, { state: 'failed', keepMs: hour }))
    assert.equal((await recordsOf(scene, job.id)).length, 1)
    await store.retry([job.id])
    assert.equal((await recordsOf(scene, job.id)).length, 1)
    await store.remove([job.id])
    assert.deepEqual(await recordsOf(scene, job.id), [])

    const pruned = await scene.running()
    await store.record([{ id: pruned.id, token: pruned.token, name: 'n', text: '1' }])
    await scene.settle(finish(pruned, { keepMs: 0 }))
    assert.deepEqual(await recordsOf(scene, pruned.id), [])
  },

  'a record inserts the jobs that it carries, and a stale one none of them': async (scene) => {
    const { store } = scene
    const job = await scene.running({ queue: 'parents' })
    const at = { id: job.id, token: job.token, text: '1' }
    const first = newJob({ parent: job.id })
    const last = newJob({ parent: job.id, needs: [{ kind: 'job', id: first.id, onFailed: 'run' }] })
    const made = { ...at, name: 'made', jobs: [first, last] }
    const created = [first, last].map(({ id }) => ({ id, status: 'created', token: null }))
    assert.deepEqual(await store.record([made, { ...at, name: 'plain' }]), [created, 'recorded'])
    assert.deepEqual(await scene.changesNothing(() => store.record([made])), [created])
    await scene.shows(last.id, { state: 'blocked', parent: job.id })
    assert.deepEqual(await scene.claimIds(), [first.id])

    await scene.advance(30_001)
    const rescued = await scene.sweep()
    const late = { ...made, name: 'late', jobs: [newJob()] }
    const answers = await scene.changesNothing(() => store.record([late, { ...late, name: 'n' }]))
    assert.deepEqual(answers, ['stale', 'stale'])
    const own = rescued.find(({ id }) => id === job.id)
    assert.ok(own)
    await scene.settle(finish(own, { state: 'cancelled', reason: 'enough' }))
    const again = { ...late, token: own.token }
    assert.deepEqual(await scene.changesNothing(() => store.record([again])), ['stale'])
  },

  'a record that carries many jobs lines all of them up, each once': async (scene) => {
    const { store } = scene
    const jobs = [
      await scene.running({ queue: 'a' }),
      await scene.running({ queue: 'b' }),
      await scene.running({ queue: 'c' }),
    ]
    const records = jobs.flatMap(({ id, token }) =>
      [0, 1].map((n) => ({
        id,
        token,
        name: `call ${n}`,
        text: '1',
        jobs: [newJob(), newJob({ delayMs: hour }), newJob({ priority: -1 })],
      })),
    )
    const answers = await store.record(records)
    const all = records.flatMap((one) => one.jobs.map(({ id }) => id))
    assert.deepEqual(
      answers.flat().map((one) => (typeof one === 'string' ? one : `${one.id} ${one.status}`)),
      all.map((id) => `${id} created`),
    )
    assert.equal((await scene.claimIds()).length, 12)
    await scene.advance(hour)
    assert.equal((await scene.claimIds()).length, 6)
  },

  'a job that a record carries meets the holder of its key, and may replace it': async (scene) => {
    const { store } = scene
    const job = await scene.running({ queue: 'parents' })
    const at = { id: job.id, token: job.token, text: '1' }
    for (const key of ['k1', 'k2', 'k3', 'k4']) {
      const [skips, replaces] = [
        newJob({ unique: unique(key) }),
        newJob({ unique: unique(key, { onConflict: 'replace' }), input: '"new"' }),
      ]
      const made = newJob({ unique: unique(key) })
      const carried = async (one: typeof made, name: string): Promise<RecordAnswer | undefined> =>
        (await store.record([{ ...at, name, jobs: [one] }]))[0]
      assert.deepEqual(await carried(made, key), [{ id: made.id, status: 'created', token: null }])
      const duplicate = { id: made.id, status: 'duplicate', token: null }
      assert.deepEqual(await carried(skips, `${key} skip`), [duplicate])
      const [replaced] = (await carried(replaces, `${key} replace`)) as [Inserted]
      assert.equal(replaced.id, made.id)
      assert.equal((await scene.job(made.id)).input, '"new"')
      assert.equal(await scene.isKnown(skips.id), false)
    }
    await scene.advance(30_001)
    assert.equal((await scene.sweep()).length, 1)
    const late = { ...at, name: 'late', jobs: [newJob({ unique: unique('free') })] }
    assert.deepEqual(await scene.changesNothing(() => store.record([late])), ['stale'])
  },

  'records are read page by page, in the order of their names': async (scene) => {
    const { store } = scene
    const job = await scene.running()
    const names = Array.from({ length: 25 }, (_, n) => `step ${String(n).padStart(2, '0')}`)
    const records = names.map((name) => ({ id: job.id, token: job.token, name, text: name }))
    await store.record(records.toReversed())
    const page = async (after: string | null): Promise<string[]> =>
      (await store.recorded({ id: job.id, after, limit: 10 })).map(({ name }) => name)
    assert.deepEqual(await page(null), names.slice(0, 10))
    assert.deepEqual(await page('step 09'), names.slice(10, 20))
    assert.deepEqual(await page('step 19'), names.slice(20))
    assert.deepEqual(await store.recorded({ id: newJob().id, after: null, limit: 10 }), [])
  },
})

/** Two clients at one record. */
export const recordRaceRules: readonly Rule[] = rulesOf('races', {
  'two clients write one record that must be as they read it: exactly one wins': async (scene) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < scene.rounds; round += 1) {
      const before = round === 0 ? null : String(round)
      const write = { key: 'k', text: String(round + 1), if: before }
      const [one, two] = await both(
        round,
        () => a.putRecords([write]),
        () => b.putRecords([write]),
      )
      assert.deepEqual([...one, ...two].sort(), ['put', 'stale'])
    }
  },

  'a record with a job against the end of its run: the job is there with the record, or neither':
    async (scene) => {
      const [a, b] = await twoClients(scene)
      for (let round = 0; round < scene.rounds; round += 1) {
        const job = await scene.running({ queue: 'parents' })
        const child = newJob(round % 2 === 0 ? {} : { unique: unique(`k${round}`) })
        const record = { id: job.id, token: job.token, name: 'n', text: '1', jobs: [child] }
        const [[answer]] = await both(
          round,
          () => a.record([record]),
          () => b.settle([finish(job, { state: 'cancelled', reason: 'enough' })]),
        )
        assert.equal(await scene.isKnown(child.id), answer !== 'stale', `round ${round}`)
        assert.equal((await recordsOf(scene, job.id)).length, answer === 'stale' ? 0 : 1)
      }
    },

  'a record of a run against the rescue of its job: it was there before, or is stale': async (
    scene,
  ) => {
    const [a, b] = await twoClients(scene)
    for (let round = 0; round < Math.min(scene.rounds, 5); round += 1) {
      const job = await scene.running()
      await scene.advance(30_001)
      const record = { id: job.id, token: job.token, name: 'n', text: '1' }
      const [[answer], swept] = await both(
        round,
        () => a.record([record]),
        () => b.rescue({ worker: 's', tasks: ['task'], limit: 9, leaseMs: hour }),
      )
      const kept = await recordsOf(scene, job.id)
      assert.equal(kept.length, answer === 'recorded' ? 1 : 0)
      for (const taken of swept.jobs) await scene.settle(finish(taken))
    }
  },
})

function recordsOf(scene: Scene, id: string): Promise<readonly { name: string; text: string }[]> {
  return scene.store.recorded({ id, after: null, limit: 100 })
}

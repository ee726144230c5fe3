/** What is kept of needed jobs, and handed out with those that waited for them. */
import assert from 'node:assert/strict'
import { handedBytes } from '../../core/job.ts'
import type { ClaimedJob, Need, NeededJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { claimOf, finish, minute, newJob, requeue } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

const fromNeeds = { queues: [{ name: 'needs', limit: 1 }] }
const group = 'flow'

export const outputRules: readonly Rule[] = rulesOf('outputs of needs', {
  'a claim hands out the outputs that its job asked for, with how each needed job ended': async (
    scene,
  ) => {
    const [one, two, three] = [await needed(scene), await needed(scene), await needed(scene)]
    const id = await scene.enqueue({
      group,
      needs: [handed(one.id), kept(two.id), handed(three.id, 'run')],
    })
    await scene.settle(finish(one, { output: '{"n":1}' }))
    await scene.settle(finish(two, { output: '"unseen"' }))
    await scene.settle(finish(three, { state: 'failed', reason: 'error' }))
    const job = await scene.claimOne()
    assert.equal(job.id, id)
    assert.deepEqual(sorted(job), [
      { id: one.id, state: 'completed', output: '{"n":1}', codec: null },
      { id: two.id, state: 'completed', output: null, codec: null },
      { id: three.id, state: 'failed', output: null, codec: null },
    ])
  },

  'a job that asked for no outputs is handed none': async (scene) => {
    const need = await needed(scene)
    await scene.enqueue({ group, needs: [{ kind: 'job', id: need.id, onFailed: 'cancel' }] })
    await scene.settle(finish(need, { output: '1' }))
    assert.deepEqual((await scene.claimOne()).needed, [])
  },

  'the output comes with its codec': async (scene) => {
    const need = await needed(scene, { codec: 'zip' })
    await scene.enqueue({ group, needs: [handed(need.id)] })
    await scene.settle(finish(need, { output: 'packed' }))
    const packed = { id: need.id, state: 'completed', output: 'packed', codec: 'zip' }
    assert.deepEqual((await scene.claimOne()).needed, [packed])
  },

  'an output that is not kept stays for each group of which one waits, however many do': async (
    scene,
  ) => {
    const need = await needed(scene)
    const groups = ['first', 'second']
    const waiting = groups.flatMap((one, n) =>
      Array.from({ length: n === 1 ? 1 : 510 }, () =>
        newJob({ group: one, queue: one, needs: [handed(need.id)] }),
      ),
    )
    await scene.store.insert(waiting)
    await scene.settle(finish(need, { output: '"told"', keepMs: 0 }))
    assert.equal(await scene.isKnown(need.id), false)
    for (const queue of groups) {
      const claim = { queues: [{ name: queue, limit: 1_000 }] }
      const jobs = await scene.claim(claim)
      assert.equal(jobs.length, queue === 'second' ? 1 : 510)
      const told = { id: need.id, state: 'completed', output: '"told"', codec: null }
      for (const job of jobs) assert.deepEqual(job.needed, [told], queue)
    }
  },

  'an output is kept for those that wait, whatever retention, take and remove say': async (
    scene,
  ) => {
    const gone = [
      async (job: ClaimedJob) => scene.settle(finish(job, { output: '1', keepMs: 0 })),
      async (job: ClaimedJob) => {
        await scene.settle(finish(job, { output: '1', keepMs: 1 }))
        await scene.advance(minute)
        await scene.store.prune({ limit: 100, cap: 1_000 })
      },
      async (job: ClaimedJob) => {
        await scene.settle(finish(job, { output: '1' }))
        await scene.store.take([job.id])
      },
      async (job: ClaimedJob) => {
        await scene.settle(finish(job, { output: '1' }))
        await scene.store.remove([job.id])
      },
      async (job: ClaimedJob) => {
        await scene.settle(finish(job, { output: '1' }))
        await scene.store.prune({ limit: 100, cap: 0 })
      },
    ]
    for (const lose of gone) {
      const need = await needed(scene)
      const id = await scene.enqueue({ group, needs: [handed(need.id)], delayMs: 2 * minute })
      await lose(need)
      assert.deepEqual(await scene.store.get([need.id]), [null])
      await scene.advance(2 * minute)
      const job = await scene.claimOne()
      assert.equal(job.id, id)
      const left = { id: need.id, state: 'completed', output: '1', codec: null }
      assert.deepEqual(job.needed, [left])
    }
  },

  'a job that comes later finds what others of its group kept': async (scene) => {
    const need = await needed(scene)
    await scene.enqueue({ group, needs: [kept(need.id), handed(newJob().id, 'run')] })
    const open = await needed(scene)
    await scene.enqueue({ group, needs: [kept(need.id), kept(open.id)] })
    await scene.settle(finish(need, { output: '1', keepMs: 0 }))
    await scene.claimOne()
    const id = await scene.enqueue({ group, needs: [handed(need.id)] })
    const job = await scene.claimOne()
    assert.equal(job.id, id)
    assert.deepEqual(job.needed, [{ id: need.id, state: 'completed', output: '1', codec: null }])
  },

  'a need that ended before the insert is handed out': async (scene) => {
    const need = await needed(scene)
    await scene.settle(finish(need, { output: '[7]' }))
    await scene.enqueue({ group, needs: [handed(need.id)] })
    const job = await scene.claimOne()
    assert.deepEqual(job.needed, [{ id: need.id, state: 'completed', output: '[7]', codec: null }])
  },

  'a repeated claim, a second attempt and a retry get the outputs again': async (scene) => {
    const need = await needed(scene)
    const id = await scene.enqueue({ group, needs: [handed(need.id)] })
    await scene.settle(finish(need, { output: '1', keepMs: 0 }))
    const first = await scene.claimOne({ id: 'again' })
    const again = only((await scene.store.claim(claimOf({ id: 'again' }))).jobs)
    assert.deepEqual(again.needed, first.needed)
    await scene.settle(finish(first, { state: 'failed', reason: 'error' }))
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
    const second = await scene.claimOne()
    assert.deepEqual(second.needed, first.needed)
    assert.equal((second.needed as readonly NeededJob[])[0]?.output, '1')
  },

  'a retried job waits again for needs that are retried with it': async (scene) => {
    const need = await needed(scene)
    const id = await scene.enqueue({ group, needs: [handed(need.id)] })
    await scene.settle(finish(need, { state: 'failed', reason: 'error' }))
    await scene.shows(id, { state: 'cancelled' })
    assert.deepEqual(await scene.store.retry([id, need.id]), ['retried', 'retried'])
    await scene.shows(id, { state: 'blocked' })
    assert.deepEqual(await scene.claim(), [])
    await scene.settle(finish(await scene.claimOne(fromNeeds), { output: '2' }))
    const job = await scene.claimOne()
    assert.deepEqual(job.needed, [{ id: need.id, state: 'completed', output: '2', codec: null }])
  },

  'a retried job gets outputs of needs that ended while it did not wait': async (scene) => {
    const [bad, good] = [await needed(scene), await needed(scene)]
    const id = await scene.enqueue({ group, needs: [handed(bad.id), handed(good.id)] })
    await scene.settle(finish(bad, { state: 'failed', reason: 'error' }))
    await scene.shows(id, { state: 'cancelled' })
    await scene.settle(finish(good, { output: '2' }))
    await scene.store.retry([bad.id, id])
    await scene.settle(finish(await scene.claimOne(fromNeeds), { output: '1' }))
    const job = await scene.claimOne()
    assert.equal(job.id, id)
    assert.deepEqual(
      sorted(job).map(({ output }) => output),
      ['1', '2'],
    )
  },

  'outputs go once no job of their group is known': async (scene) => {
    const need = await needed(scene)
    const id = await scene.enqueue({ group, needs: [handed(need.id)] })
    await scene.settle(finish(need, { output: '1', keepMs: 0 }))
    await scene.settle(finish(await scene.claimOne(), { keepMs: 0 }))
    await scene.store.prune({ limit: 100, cap: 1_000 })
    assert.deepEqual(await scene.store.get([need.id, id]), [null, null])
    const late = await scene.enqueue({ group, needs: [handed(need.id, 'run')] })
    const job = await scene.claimOne()
    assert.equal(job.id, late)
    assert.deepEqual(job.needed, [{ id: need.id, state: null, output: null, codec: null }])
  },

  'what a claim hands out is bounded, and each job gets its outputs in the end': async (scene) => {
    const need = await needed(scene)
    for (let n = 0; n < 4; n += 1) await scene.enqueue({ group, needs: [handed(need.id)] })
    await scene.settle(finish(need, { output: JSON.stringify('x'.repeat(handedBytes / 2)) }))
    let done = 0
    for (let claims = 0; claims < 4; claims += 1) {
      const jobs = await scene.claim()
      const whole = jobs.filter(({ needed: found }) => typeof found !== 'string')
      assert.ok(jobs.length === 0 || (whole.length > 0 && whole.length < 3), 'bounded')
      done += whole.length
      for (const job of whole) await scene.settle(finish(job))
      for (const job of jobs) if (job.needed === 'later') await scene.settle(requeue(job))
    }
    assert.equal(done, 4)
  },

  'a job whose outputs can never be handed out is told so': async (scene) => {
    const needs = [await needed(scene), await needed(scene)]
    await scene.enqueue({ group, needs: needs.map(({ id }) => handed(id)) })
    const output = JSON.stringify('x'.repeat(handedBytes / 2))
    for (const need of needs) await scene.settle(finish(need, { output }))
    assert.equal((await scene.claimOne()).needed, 'too-large')
  },

  'a blocked job waits for a new one that holds it, and is handed its output': async (scene) => {
    const need = await needed(scene)
    const id = await scene.enqueue({ group, needs: [handed(need.id)] })
    const added = newJob({
      queue: 'needs',
      group,
      holds: [{ id, onFailed: 'fail', output: 'hand' }],
    })
    await scene.settle(finish(need, { output: '1', followUps: [added] }))
    await scene.shows(id, { state: 'blocked' })
    const found = await scene.claimOne(fromNeeds)
    assert.equal(found.id, added.id)
    await scene.settle(finish(found, { output: '2' }))
    const job = await scene.claimOne()
    assert.equal(job.id, id)
    assert.deepEqual(
      sorted(job).map(({ output }) => output),
      ['1', '2'],
    )
  },

  'one that fails ends what it holds as it says, and what does not wait is not held': async (
    scene,
  ) => {
    const need = await needed(scene)
    const blocked = await scene.enqueue({ group, needs: [handed(need.id)] })
    const ready = await scene.enqueue({ group, queue: 'ready' })
    const holds = [blocked, ready, newJob().id].map((id) => ({ id, onFailed: 'fail' as const }))
    const bad = newJob({ group, queue: 'bad', holds })
    await scene.settle(finish(need, { followUps: [bad] }))
    await scene.shows(ready, { state: 'ready' })
    await scene.shows(blocked, { state: 'blocked' })
    await scene.store.cancel([bad.id], null)
    await scene.shows(blocked, { state: 'failed', reason: 'need-failed' })
  },

  'a job that wants outputs is refused without a group': async (scene) => {
    const job = newJob({ needs: [handed(newJob().id)] })
    await assert.rejects(scene.store.insert([job]), { code: 'invalid-option' })
  },
})

function needed(scene: Scene, over: Parameters<Scene['running']>[0] = {}): Promise<ClaimedJob> {
  return scene.running({ queue: 'needs', ...over })
}

function handed(id: string, onFailed: Need['onFailed'] = 'cancel'): Need {
  return { kind: 'job', id, onFailed, output: 'hand' }
}

function kept(id: string): Need {
  return { kind: 'job', id, onFailed: 'cancel', output: 'keep' }
}

function sorted({ needed: found }: ClaimedJob): readonly NeededJob[] {
  assert.ok(typeof found !== 'string')
  return found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

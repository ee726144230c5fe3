/** Every situation × every verb: what is legal ends as the table says, what is not changes nothing. */
import assert from 'node:assert/strict'
import { isFinal } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'
import { situationNames, situations, type SituationName } from './situations.ts'
import type { Verb } from './verb.ts'
import { verbs } from './verbs.ts'

export const stateTableRules: readonly Rule[] = [
  ...situationNames.flatMap((name) =>
    verbs.flatMap((verb) =>
      rulesOf('states', { [sentence(name, verb)]: (scene) => play(scene, name, verb) }),
    ),
  ),
  ...situationNames
    .filter((name) => name !== 'unknown')
    .flatMap((name) =>
      rulesOf('states', {
        [`a job that is ${name} and is inserted again: nothing changes`]: (scene) =>
          insertAgain(scene, name),
      }),
    ),
]

function sentence(name: SituationName, verb: Verb): string {
  return `a job that is ${name} and ${verb.name}: ${verb.legal[name] === undefined ? 'nothing changes' : 'legal'}`
}

async function play(scene: Scene, name: SituationName, verb: Verb): Promise<void> {
  const job = await situations[name].reach(scene, {})
  const legal = verb.legal[name]
  if (legal === undefined) {
    assert.deepEqual(await scene.changesNothing(() => verb.act(scene, job)), verb.otherwise(name))
    return
  }
  const before = await scene.job(job.id)
  assert.equal(before.state, situations[name].state)
  assert.deepEqual(await verb.act(scene, job), legal.answer)
  const changed = legal.becomes(before, await scene.now())
  const [after] = await scene.store.get([job.id])
  if (changed === 'gone' || after === null || after === undefined)
    return assert.equal(changed, after === null ? 'gone' : 'kept')
  scene.same(after, { ...before, ...changed, ...unspoken(before, after, changed) })
}

/** What the contract leaves open: the number of a new token, and whether an ended job still shows that a cancel was asked for. */
function unspoken(
  before: StoredJob,
  after: StoredJob,
  changed: Partial<StoredJob>,
): Partial<StoredJob> {
  if (changed.token === -1)
    assert.ok(after.token > before.token, `token ${after.token} after ${before.token}`)
  return {
    ...(changed.token === -1 ? { token: after.token } : {}),
    ...(isFinal(after.state) ? { cancelAsked: after.cancelAsked } : {}),
  }
}

async function insertAgain(scene: Scene, name: SituationName): Promise<void> {
  const { id } = await situations[name].reach(scene, {})
  const [answer] = await scene.changesNothing(() =>
    scene.store.insert([newJob({ id, input: '"other"', queue: 'q2' })]),
  )
  assert.deepEqual(answer, { id, status: 'created', token: null })
}

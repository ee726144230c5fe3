import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, claimOf, finish, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'

/** JSON as clients write it: what a text may not hold is in it as an escape. */
const escapes = JSON.stringify({ half: '\ud83d', zero: 'a\0b', unit: '\u001f', quoted: `"'\\$1` })
/** Text that people write: of all planes, of several lines, with signs that some languages of queries know. */
const plain = '👍 Größe 日本語 e\u0301 \u2028 \ufffd'
const lines = `${plain}\n\ttab \u001b[2J "quoted" 'it''s' \\ $1 {a,b} %s`
const name = `${plain} "it's" {a,b} \\ $1 %`

/** What is no text: clients never send it, but a store that is sent it must not suffer. */
const noTexts = { 'half of an emoji': 'cut \ud83d', NUL: 'a\0b' } as const

/** Rejects or answers, but leaves no trace of a refused call. */
async function refusedOrTaken(scene: Scene, call: () => Promise<unknown>): Promise<void> {
  const before = await scene.picture()
  const error = await call().then(
    () => null,
    (cause: unknown) => cause,
  )
  if (error === null) return
  const after = await scene.picture()
  assert.deepEqual([after.counts, after.logs], [before.counts, before.logs])
  assert.deepEqual(
    after.jobs.map(({ id }) => id),
    before.jobs.map(({ id }) => id),
  )
}

/** Texts come back as they were given, whatever they hold. */
export const textRules: readonly Rule[] = rulesOf('text', {
  'JSON comes back as it was, with its escapes of NUL and of half an emoji': async (scene) => {
    const job = await scene.running({ input: escapes, options: escapes })
    assert.deepEqual([job.input, job.options], [escapes, escapes])
    const { id, token } = job
    await scene.store.note([{ id, token, kind: 'progress', value: escapes }])
    const next = newJob({ queue: 'next', input: escapes })
    await scene.settle(finish(job, { attempt: escapes, output: escapes, followUps: [next] }))
    await scene.shows(id, {
      input: escapes,
      options: escapes,
      progress: escapes,
      attempts: [escapes],
      output: escapes,
    })
    await scene.shows(next.id, { input: escapes })
  },

  'names, keys, reasons and log lines of any plain text come back as they were': async (scene) => {
    const over = { task: name, queue: name, unique: unique(name) }
    const job = await scene.running(over)
    assert.deepEqual([job.task, job.queue, job.uniqueKey], [name, name, name])
    const { id, token } = job
    await scene.store.note([{ id, token, kind: 'log', agoMs: 0, level: 'info', text: lines }])
    await scene.settle(finish(job, { state: 'discarded', reason: lines }))
    await scene.shows(id, { task: name, queue: name, uniqueKey: name, reason: lines })
    assert.deepEqual(
      (await scene.store.logs(id)).map(({ text }) => text),
      [lines],
    )
    assert.equal(await scene.tryInsert(over), 'created')
    assert.equal(await scene.tryInsert(over), 'duplicate')
    for (const filter of [{ tasks: [name] }, { queue: name }, { uniqueKey: name }]) {
      const { jobs } = await scene.store.list({ limit: 10, ...filter })
      assert.equal(jobs.length, 2, JSON.stringify(filter))
    }
    await scene.store.pause([name])
    assert.deepEqual(await scene.claim({ queues: [{ name, limit: 1 }] }), [])
  },

  'keys that differ in one character only are two keys': async (scene) => {
    const keys = ['a', 'A', 'ä', 'a\u0308', 'a ', ' a', '👍', '👎', '\ufffd', 'ａ']
    for (const key of keys)
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'created', key)
    for (const key of keys)
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'duplicate', key)
  },

  'what is no text is taken or refused with its whole call, and the next call works': async (
    scene,
  ) => {
    for (const bad of Object.values(noTexts)) {
      const [one, other] = [await scene.running(), await scene.running()]
      const noteOf = ({ id, token }: typeof one, text: string) =>
        ({ id, token, kind: 'log', agoMs: 0, level: 'info', text }) as const
      await refusedOrTaken(scene, () =>
        scene.store.note([noteOf(other, 'beside'), noteOf(one, bad)]),
      )
      assert.deepEqual(await scene.store.note([noteOf(other, 'after')]), ['noted'])
      const texts = (await scene.store.logs(other.id)).map(({ text }) => text)
      assert.equal(texts.at(-1), 'after')
      const pair = [finish(one, { state: 'discarded', reason: bad }), requeue(other)]
      await refusedOrTaken(scene, () => scene.store.settle(pair))
      const repeat = [finish(one, { state: 'discarded', reason: 'why' }), requeue(other)]
      assert.deepEqual(await scene.store.settle(repeat), ['settled', 'settled'])
      assert.equal((await scene.job(one.id)).state, 'discarded')
      await scene.store.remove([other.id])
      const jobs = [newJob({ unique: unique(bad), delayMs: minute }), newJob({ delayMs: minute })]
      await refusedOrTaken(scene, () => scene.store.insert(jobs))
      const [claimed] = (await scene.store.claim(claimOf())).jobs
      assert.equal(claimed, undefined)
      const id = await scene.enqueue()
      assert.deepEqual(await scene.claimIds(), [id])
      await scene.store.settle([])
      await scene.store.remove(jobs.map((job) => job.id))
    }
  },
})

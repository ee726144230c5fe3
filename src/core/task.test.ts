import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { isTask, task, tasksWith } from './task.ts'

describe('a task', () => {
  it('reads its options once', () => {
    const { definition } = task({
      name: 'a',
      queue: 'q',
      timeout: '5s',
      retry: 'once',
      unique: true,
      input: z.string(),
    })
    assert.equal(definition.queue, 'q')
    assert.deepEqual(definition.layer, { timeoutMs: 5_000, retryLimit: 1 })
    assert.equal(definition.unique?.onConflict, 'skip')
  })

  it('may be defined apart from its handler and its follow-ups', () => {
    const bare = task<string, number>({ name: 'bare' })
    assert.equal(bare.definition.handler, null)
    const handler = (text: string): number => text.length
    assert.equal(bare.run(handler), bare)
    bare.onSuccess('next').onFailure('alert', 'other')
    assert.equal(bare.definition.handler, handler)
    assert.deepEqual(bare.definition.onSuccess, ['next'])
    assert.deepEqual(bare.definition.onFailure, ['alert', 'other'])
  })

  it('has one handler', () => {
    const one = task({ name: 'one', run: () => 1 })
    assert.throws(() => one.run(() => 2), {
      code: 'invalid-task',
      message: /has a handler already/,
    })
    assert.throws(() => task({ name: 'two' }).run(5 as never), {
      code: 'invalid-task',
      message: /run must be a function/,
    })
  })

  it('takes one follow-up or several, as tasks or names', () => {
    const next = task({ name: 'next', run: (n: number) => n })
    assert.deepEqual(task({ name: 'a', onSuccess: next, run: () => 1 }).definition.onSuccess, [
      next,
    ])
    assert.deepEqual(task({ name: 'a', onFailure: ['x', 'y'] }).definition.onFailure, ['x', 'y'])
    for (const bad of [undefined, {}, '']) {
      assert.throws(() => task({ name: 'a' }).onSuccess(bad as never), {
        code: 'invalid-task',
        message: /added later/,
      })
    }
  })

  it('is refused when it cannot work', () => {
    for (const name of ['', ' a', 'x'.repeat(201), 5, undefined]) {
      assert.throws(() => task({ name: name as string }), {
        code: 'invalid-task',
        message: /1 to 200 characters/,
      })
    }
    assert.throws(() => task({ name: 'a', aliases: [''] }), { code: 'invalid-task' })
    assert.throws(() => task({ name: 'a', input: { type: 'object' } as never }), {
      code: 'invalid-task',
      message: /Standard Schema/,
    })
    assert.throws(() => task({ name: 'a', timeot: '5s' } as never), {
      code: 'invalid-option',
      message: /Did you mean timeout\?/,
    })
    assert.throws(() => task({ name: 'a', timeout: 'soon' as never }), {
      code: 'invalid-option',
      message: /task "a"\.timeout/,
    })
  })

  it('is told from other values', () => {
    const { task: withContext } = tasksWith<{ db: string }>()
    assert.ok(isTask(withContext({ name: 'a' })))
    for (const other of [null, undefined, 'a', {}, { name: 'a', definition: {} }, () => 1])
      assert.equal(isTask(other), false)
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { collectTasks, unknownTask } from './task-list.ts'
import { task } from './task.ts'

describe('the tasks of an app', () => {
  it('are found by name and by alias', () => {
    const one = task({ name: 'one', aliases: ['eins', 'one'] })
    const registry = collectTasks([one, task({ name: 'two' }), one])
    assert.equal(registry.find('one'), one)
    assert.equal(registry.find('eins'), one)
    assert.equal(registry.find('three'), undefined)
    assert.equal(registry.tasks.length, 2)
    assert.deepEqual(registry.names, ['one', 'eins', 'two'])
  })

  it('refuse two of one name or alias, telling both places', () => {
    const twins = [task({ name: 'one' }), task({ name: 'uno', aliases: ['one'] })]
    assert.throws(() => collectTasks(twins), {
      code: 'duplicate-task',
      message: /called one: one at .*task-list\.test\.ts:\d+, one at .*task-list\.test\.ts:\d+/,
    })
  })

  it('name the nearest of a name that nobody knows', () => {
    assert.match(
      unknownTask('images.resise', ['images.resize', 'mail']).message,
      /Did you mean images\.resize\?/,
    )
    const error = unknownTask('x', ['images.resize'])
    assert.equal(error.code, 'unknown-task')
    assert.match(error.message, /Add it to `tasks`/)
  })
})

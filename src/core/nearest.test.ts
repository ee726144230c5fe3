import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nearest } from './nearest.ts'
import { refuseUnknownKeys } from './option-keys.ts'

describe('the nearest word', () => {
  it('is the one that was probably meant', () => {
    const known = ['timeout', 'deadline', 'delay', 'priority', 'retry']
    assert.equal(nearest('timeOut', known), 'timeout')
    assert.equal(nearest('retrys', known), 'retry')
    assert.equal(nearest('delai', known), 'delay')
    assert.equal(nearest('prioritty', known), 'priority')
  })

  it('is none when nothing is near', () => {
    assert.equal(nearest('concurrency', ['delay', 'retry']), null)
    assert.equal(nearest('x', []), null)
  })

  it('is named when an unknown option is refused, or else all that are known', () => {
    assert.throws(() => refuseUnknownKeys({ slot: 1 }, ['slots', 'queues'], 'worker()'), {
      code: 'invalid-option',
      message: 'worker() has no option slot. Did you mean slots?',
      details: { option: 'slot' },
    })
    assert.throws(() => refuseUnknownKeys({ colour: 1 }, ['slots', 'queues'], 'worker()'), {
      message: /Known are: slots, queues\./,
    })
    assert.doesNotThrow(() => refuseUnknownKeys({ slots: 1 }, ['slots', 'queues'], 'worker()'))
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { callId, followUpId, isJobId } from './id.ts'

const parent = '0198c0de-1234-7abc-8def-0123456789ab'

describe('the id of a called job', () => {
  it('follows from its parent, the name of the call and the round, and has the form of a job id', () => {
    const ids = [
      callId(parent, 'call/1/a', 0),
      callId(parent, 'call/2/a', 0),
      callId(parent, 'call/1/a', 1),
      callId('0198c0de-1234-7abc-8def-0123456789ac', 'call/1/a', 0),
    ]
    assert.equal(new Set(ids).size, 4)
    assert.ok(ids.every(isJobId))
    assert.equal(callId(parent, 'call/1/a', 0), ids[0])
  })
})

describe('the id of a follow-up', () => {
  it('is the same for the same parent, token and edge, and differs for any other', () => {
    assert.equal(followUpId(parent, 3, 'success-task-0'), followUpId(parent, 3, 'success-task-0'))
    const ids = new Set([
      followUpId(parent, 3, 'success-task-0'),
      followUpId(parent, 4, 'success-task-0'),
      followUpId(parent, 3, 'success-task-1'),
      followUpId('0198c0de-1234-7abc-8def-0123456789ac', 3, 'success-task-0'),
    ])
    assert.equal(ids.size, 4)
  })

  it('is a UUIDv7 with the time of its parent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0 }), fc.string(), (token, edge) => {
        const id = followUpId(parent, token, edge)
        assert.ok(isJobId(id))
        assert.match(id, /^0198c0de-1234-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      }),
    )
  })

  it('has the form of a job id, which other texts have not', () => {
    for (const text of ['', 'x', parent.toUpperCase(), `${parent}0`, parent.replaceAll('-', '')])
      assert.equal(isJobId(text), false)
  })
})

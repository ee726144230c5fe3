import assert from 'node:assert/strict'
import test from 'node:test'
import { Heads } from './heads.ts'

/** So many that the beginning is left alone for longer than any test takes. */
const dead = 100_000_000

test('a walk over few dead rows begins at the beginning again', () => {
  const heads = new Heads()
  assert.equal(heads.walked(['a'], [], 10, 'a\t0,5,10\n'), null)
  assert.deepEqual(heads.after(['a']), [])
})

test('after a walk over many dead rows, claims look behind the last end of each priority, by rising priority', () => {
  const heads = new Heads()
  assert.equal(heads.walked(['a', 'b'], [], dead, 'a\t10,7,12\na\t-2,5,10\n'), null)
  assert.deepEqual(heads.after(['a', 'b', 'c']), ['-2,5,10;10,7,12', null, null])
  assert.ok((heads.walked(['a'], heads.after(['a']), 0, 'a\t10,8,20\na\t11,1,1\n') ?? 0) > 0)
  assert.deepEqual(heads.after(['a']), ['-2,5,10;10,8,20;11,1,1'])
})

test('a claim that found nothing looks from the beginning at once, unless too many dead rows lie there', () => {
  const heads = new Heads()
  heads.walked(['few'], [], 40_000, 'few\t0,1,1\n')
  assert.equal(heads.mayLookBefore(['few'], ['0,1,1']), true)
  assert.deepEqual(heads.after(['few']), [null])
  heads.walked(['many'], [], dead, 'many\t0,1,1\n')
  assert.equal(heads.mayLookBefore(['many'], ['0,1,1']), false)
  assert.deepEqual(heads.after(['many']), ['0,1,1'])
})

test('queues that were not named rest after a search over many dead rows that found no work, and no other', () => {
  const heads = new Heads()
  for (const [rows, found] of [
    [10, false],
    [dead, true],
  ] as const) {
    heads.searched(rows, found)
    assert.deepEqual([heads.leavesOthers(), heads.othersRestMs()], [false, null])
  }
  heads.searched(dead, false)
  assert.equal(heads.leavesOthers(), true)
  assert.ok((heads.othersRestMs() ?? 0) > 0)
  assert.equal(heads.mayAskOthers(), false)
  heads.searched(40_000, false)
  assert.deepEqual([heads.mayAskOthers(), heads.leavesOthers()], [true, false])
})

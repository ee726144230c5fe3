import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { isJobId } from '../core/id.ts'
import { newId } from './new-id.ts'

suite('ids of new jobs', () => {
  const ids = Array.from({ length: 20_000 }, newId)

  test('are UUIDs of version 7 with the time in front', () => {
    for (const id of ids)
      assert.ok(isJobId(id) && id[14] === '7' && /[89ab]/.test(id[19] ?? ''), id)
    const at = Number.parseInt((ids[0] ?? '').replaceAll('-', '').slice(0, 12), 16)
    assert.ok(Math.abs(Date.now() - at) < 60_000)
  })

  test('grow, so that none comes twice', () => {
    for (const [i, id] of ids.entries()) assert.ok(i === 0 || (ids[i - 1] ?? '') < id, id)
  })

  test('share nothing but their time', () => {
    assert.equal(new Set(ids.map((id) => id.slice(24))).size, ids.length)
  })
})

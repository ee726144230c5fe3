import assert from 'node:assert/strict'
import test from 'node:test'
import { packLabels, readLabels } from './labels.ts'

test('labels are read back, and of what is no labels none are read', () => {
  const labels = { tags: ['eu', 'ü'], headers: { tenant: 'ada' } }
  assert.deepEqual(readLabels(packLabels(labels)), labels)
  const none = { tags: [], headers: {} }
  assert.equal(packLabels(none), null)
  for (const text of [null, '', '{', '7', 'null', '[]', '["a"]', '[null,null]', '{"tags":["a"]}'])
    assert.deepEqual(readLabels(text), none, String(text))
})

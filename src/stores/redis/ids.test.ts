import assert from 'node:assert/strict'
import { test } from 'node:test'
import { v4, v7 } from 'uuid'
import { isPacked, packId, unpackId } from './ids.ts'

test('ids come back as they were, and sort packed as they do unpacked', () => {
  const ids = Array.from({ length: 500 }, (_, n) => (n % 2 === 0 ? v4() : v7()))
  ids.push('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  for (const id of ids) {
    const packed = packId(id)
    assert.equal(packed.length, 22)
    assert.ok(isPacked(packed))
    assert.equal(unpackId(packed), id)
  }
  assert.deepEqual(
    ids
      .map(packId)
      .sort()
      .map((packed) => unpackId(packed)),
    ids.sort(),
  )
})

test('what is no id of a job is packed as a text that none has', () => {
  const id = v7()
  for (const text of [
    '',
    'x',
    id.toUpperCase(),
    `${id}0`,
    id.slice(1),
    id.replace('-', '0x'),
    `é${id.slice(1)}`,
  ])
    assert.equal(isPacked(packId(text)), false, text)
})

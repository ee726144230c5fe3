import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Heap } from './heap.ts'

test('a heap gives its elements in order, whatever was added and dropped between', () => {
  const command = fc.record({ rank: fc.integer({ min: 0, max: 20 }), drop: fc.option(fc.nat(30)) })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const heap = new Heap<{ readonly rank: number }>((a, b) => a.rank - b.rank)
      const model: { readonly rank: number }[] = []
      for (const { rank, drop } of commands) {
        const item = { rank }
        heap.add(item)
        model.push(item)
        const [dropped] = drop === null ? [] : model.splice(drop % model.length, 1)
        if (dropped !== undefined) heap.delete(dropped)
      }
      heap.delete({ rank: 0 })
      assert.equal(heap.size, model.length)
      const ranks: number[] = []
      for (let first = heap.first(); first !== undefined; first = heap.first()) {
        ranks.push(first.rank)
        heap.delete(first)
      }
      assert.deepEqual(
        ranks,
        model.map((item) => item.rank).sort((a, b) => a - b),
      )
    }),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import type { RecordAnswer, RunRecord } from '../store/worker-calls.ts'
import { Records } from './records.ts'

const of = (name: string, text = ''): RunRecord => ({ id: 'id', token: 1, name, text })

/** Records on a store that answers by names. */
function made(answer: (name: string) => RecordAnswer) {
  const calls: string[][] = []
  const records = new Records({
    record: async (all) => {
      calls.push(all.map(({ name, text }) => name + text))
      return all.map(({ name }) => answer(name))
    },
  })
  return { records, calls }
}

test('records of one moment travel together, those of one name one after the other', async () => {
  const { records, calls } = made(() => 'recorded')
  const all = [of('a', '1'), of('b', '1'), of('a', '2'), of('c', '1')]
  await Promise.all(all.map((one) => records.write(one)))
  assert.deepEqual(calls, [
    ['a1', 'b1'],
    ['a2', 'c1'],
  ])
  assert.equal(await records.write(of('d')), 'recorded')
})

test('a record that spoils its batch gets the error alone; an outage is for all', async () => {
  const spoiled = made((name) => {
    if (name === 'bad') throw new Error('too long for the store')
    return name === 'late' ? 'stale' : 'recorded'
  })
  const names = ['a', 'bad', 'b', 'late']
  const ends = await Promise.allSettled(names.map((name) => spoiled.records.write(of(name))))
  assert.deepEqual(
    ends.map((end) => (end.status === 'fulfilled' ? end.value : 'error')),
    ['recorded', 'error', 'recorded', 'stale'],
  )
  const away = made(() => {
    throw new ErrandError('store-unavailable', 'gone')
  })
  const gone = await Promise.allSettled(names.map((name) => away.records.write(of(name))))
  assert.ok(gone.every(({ status }) => status === 'rejected'))
  assert.equal(away.calls.length, 1)
})

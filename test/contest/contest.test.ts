import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomOf } from '../chaos/random.ts'
import { Contest } from './contest.ts'
import { violations, type Absence } from './judge.ts'
import type { Write } from './register.ts'
import { lockPlace } from './servers.ts'

const contestMs = 8_000

function write(change: Partial<Write>): Write {
  return { at: 1_000, contender: 'a', token: 1, accepted: true, ...change }
}

function stopped(contender: string, from: number, to: number): Absence {
  return { contender, kind: 'stopped', from, to }
}

test('a stale write of a process that had just been stopped breaks nothing', () => {
  const writes = [
    write({}),
    write({ contender: 'b', token: 2 }),
    write({ at: 5_010, accepted: false }),
  ]
  assert.deepEqual([...violations(writes, [stopped('a', 1_500, 5_000)])], [])
})

const offences: Readonly<Record<string, readonly Write[]>> = {
  'both wrote under 1': [write({}), write({ contender: 'b' })],
  'was accepted after 2': [write({ token: 2 }), write({ token: 1 })],
  'the holder of 2 was refused': [write({ token: 2, accepted: false })],
  'was awake and wrote under 1': [write({ token: 2, contender: 'b' }), write({ accepted: false })],
}
for (const [what, writes] of Object.entries(offences)) {
  test(`the judge sees: ${what}`, () => {
    assert.ok([...violations(writes, [])].some((violation) => violation.includes(what)))
  })
}

test('of five processes that are stopped and killed only the holder writes', async () => {
  const seed = String(Date.now())
  const place = await lockPlace('sqlite')
  assert.ok(place !== null)
  try {
    const { writes, absences } = await new Contest('sqlite', place, randomOf(seed)).run(contestMs)
    assert.deepEqual([...violations(writes, absences)], [], `seed ${seed}`)
    assert.ok(new Set(writes.map(({ token }) => token)).size > 1, `seed ${seed}`)
  } finally {
    await place.close()
  }
})

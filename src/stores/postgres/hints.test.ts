import assert from 'node:assert/strict'
import test from 'node:test'
import { ErrandError } from '../../core/errors.ts'
import { Hints } from './hints.ts'

/** Hints at a time that the test sets, and what they told others. */
function atWill(): {
  readonly hints: Hints
  readonly told: string[]
  readonly pass: (ms: number) => void
} {
  let now = 0
  const hints = new Hints(() => now)
  const told: string[] = []
  hints.tell = (hint) => told.push(hint)
  return { hints, told, pass: (ms) => (now += ms) }
}

/** Lone work that takes so long; answers whether the message went with it. */
async function carried({ hints, pass }: ReturnType<typeof atWill>, ms = 1): Promise<boolean> {
  let message: string | null = null
  await hints.carry('work', async (given) => {
    message = given
    pass(ms)
  })
  assert.ok(message === null || message === hints.message('work'))
  return message !== null
}

test('postgres hints: the message of lone work goes with it, and nothing is told apart', async (t) => {
  const at = atWill()
  t.after(() => at.hints.clear())
  assert.equal(await carried(at), true)
  at.pass(5)
  assert.equal(await carried(at), true)
  assert.deepEqual(at.told, [])
})

test('postgres hints: work right after a message sends none of its own', async (t) => {
  const at = atWill()
  t.after(() => at.hints.clear())
  at.hints.give('work')
  assert.deepEqual(at.told, ['work'])
  assert.equal(await carried(at), false)
  assert.deepEqual(at.told, ['work'])
})

test('postgres hints: work that the server refuses with its message goes without, and so do others for a while', async (t) => {
  const at = atWill()
  t.after(() => at.hints.clear())
  const full = new ErrandError('too-large', 'full', { details: { code: '54000' } })
  const given: unknown[] = []
  await at.hints.carry('work', async (message) => {
    given.push(message)
    if (message !== null) throw full
  })
  assert.deepEqual(given, [at.hints.message('work'), null])
  at.pass(500)
  assert.equal(await carried(at), false)
  at.pass(1_000)
  assert.equal(await carried(at), true)
  at.pass(500)
  const large = at.hints.carry('work', async () => {
    throw full
  })
  await assert.rejects(large, full)
})

test('postgres hints: where a worker of the process watches, messages go apart, after its head start', async (t) => {
  const at = atWill()
  t.after(() => at.hints.clear())
  at.hints.add(() => {})
  assert.equal(await carried(at), false)
})

test('postgres hints: after a slow commit messages go apart for a while', async (t) => {
  const at = atWill()
  t.after(() => at.hints.clear())
  assert.equal(await carried(at, 50), true)
  assert.equal(await carried(at), false)
  assert.deepEqual(at.told, ['work'])
  at.pass(1_000)
  assert.equal(await carried(at), true)
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createErrand, type Errand } from '../index.ts'
import { memory } from '../stores/memory/index.ts'
import { hubOf } from './hub-of.ts'

/** Warnings of the process while a test runs. */
function warned(context: TestContext): string[] {
  const texts: string[] = []
  const hear = ({ name, message }: Error): void => void texts.push(`${name}: ${message}`)
  process.on('warning', hear)
  context.after(() => process.off('warning', hear))
  return texts
}

function fail(errand: Errand, times: number): void {
  const error = new Error('the store\nis away')
  for (let n = 0; n < times; n++)
    hubOf(errand).emit('part-failed', { part: `part ${n}`, error, againMs: 5 })
}

test('without a log the first failure of a part is one line of the process, and no more', async (t) => {
  const texts = warned(t)
  await using errand = createErrand({ store: memory() })
  const said = once(process, 'warning')
  fail(errand, 20)
  await said
  await setTimeout(10)
  assert.equal(texts.length, 1)
  assert.match(texts[0] ?? '', /^ErrandWarning: The part part 0 failed: .*the store.{1,4}is away/)
})

test('whoever has a log, or listens, is told there alone', async (t) => {
  const texts = warned(t)
  const lines: string[] = []
  await using logs = createErrand({ store: memory(), log: (line) => lines.push(line) })
  await using listens = createErrand({ store: memory() })
  listens.on('part-failed', ({ part }) => lines.push(part))
  fail(logs, 2)
  fail(listens, 2)
  await setTimeout(10)
  assert.deepEqual([lines.length, texts], [4, []])
})

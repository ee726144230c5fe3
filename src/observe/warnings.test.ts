import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventHub } from './events.ts'
import type { Warning } from './warnings.ts'

test('a warning has its code, its facts and one sentence made of them', () => {
  const hub = new EventHub()
  const warnings: Warning[] = []
  hub.on('warning', (warning) => warnings.push(warning))
  const error = new Error('disk full')
  hub.warn('settlement-refused', { id: 'j1', task: 'mail', error })
  const [warning] = warnings
  assert.deepEqual(warning, {
    code: 'settlement-refused',
    message:
      'The settlement of mail j1 cannot be written; it runs again when its lease ends: Error: disk full',
    id: 'j1',
    task: 'mail',
    error,
  })
})

test('a listener that throws is one warning that names its event, and others are told all the same', () => {
  const hub = new EventHub()
  const told: string[] = []
  hub.on('part-failed', () => {
    throw new Error('bad listener')
  })
  hub.on('part-failed', ({ part }) => told.push(part))
  hub.on('warning', ({ code, message }) => told.push(`${code}: ${message}`))
  for (let n = 0; n < 3; n++) hub.emit('part-failed', { part: 'notes', error: null, againMs: null })
  assert.deepEqual(told, [
    'listener-failed: A listener of part-failed threw: Error: bad listener',
    'notes',
    'notes',
    'notes',
  ])
})

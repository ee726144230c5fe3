import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createErrand } from '../errand.ts'
import { memory, MemoryDatabase } from '../stores/memory/index.ts'
import { hasOwnLog } from './own-log.ts'

test('a command can see whether an app logs by itself, also on another store, and no key of it says so', async () => {
  const store = (): ReturnType<typeof memory> => memory({ database: new MemoryDatabase() })
  const logs = createErrand({ store: store(), log: () => undefined })
  const silent = createErrand({ store: store() })
  const other = logs.withStore(store())
  assert.deepEqual([logs, silent, other].map(hasOwnLog), [true, false, true])
  assert.equal(Object.keys(logs).includes('hasLog'), false)
  for (const errand of [logs, silent, other]) await errand.close()
})

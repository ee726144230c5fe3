import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sqlite } from '../stores/sqlite/index.ts'
import { HoldLoop, type HoldReport } from './hold-loop.ts'
import { storeLocks } from './locks/store.ts'

test('a lock is lost at once when the store that gave it was replaced, though its time is not over', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-hold-'))
  const file = join(folder, 'locks.db')
  const store = sqlite(file)
  t.after(async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  })
  const until = new Float64Array(1)
  const reports: HoldReport[] = []
  const loop = new HoldLoop({
    locks: storeLocks(store),
    name: 'lock',
    holder: 'holder',
    ttlMs: 600_000,
    host: 'here',
    pid: 1,
    belief: { until },
    ticks: () => performance.now(),
    report: (report) => reports.push(report),
  })
  const taken = await loop.take()
  assert.equal(taken.status, 'held')
  assert.ok((until[0] ?? 0) > performance.now())

  for (const end of ['', '-wal', '-shm']) rmSync(file + end)
  await assert.rejects(loop.extend(), { code: 'store-replaced' })
  assert.deepEqual(reports, [{ kind: 'lost', token: taken.token, why: 'replaced' }])
  assert.equal(until[0], 0)
  assert.equal(await loop.extend(), false)
})

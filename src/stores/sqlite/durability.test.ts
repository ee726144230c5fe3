import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { newJob } from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

/** What `PRAGMA synchronous` answers. */
const levels = { process: 1, power: 2 } as const

for (const durability of ['process', 'power'] as const) {
  test(`with durability ${durability} every connection of the store syncs as it says`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'errand-durability-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const exec = t.mock.method(DatabaseSync.prototype, 'exec')
    const store = sqlite(join(folder, 'jobs.db'), { durability })
    await store.insert([newJob()])
    const handles = new Set(exec.mock.calls.map((call) => call.this as DatabaseSync))
    assert.ok(handles.size > 0)
    for (const handle of handles) {
      const row = handle.prepare('PRAGMA synchronous').get()
      assert.equal(row?.['synchronous'], levels[durability])
    }
    await store.close()
  })
}

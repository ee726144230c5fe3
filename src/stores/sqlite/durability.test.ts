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
    const handles = new Set<DatabaseSync>()
    const { exec } = DatabaseSync.prototype
    t.mock.method(DatabaseSync.prototype, 'exec', function (this: DatabaseSync, sql: string) {
      handles.add(this)
      exec.call(this, sql)
    })
    const store = sqlite(join(folder, 'jobs.db'), { durability })
    await store.insert([newJob()])
    assert.ok(handles.size > 0)
    for (const handle of handles) {
      const row = handle.prepare('PRAGMA synchronous').get()
      assert.equal(row?.['synchronous'], levels[durability])
    }
    await store.close()
  })
}

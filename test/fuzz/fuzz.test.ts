import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { fuzz } from './run.ts'

for (const name of ['memory', 'sqlite'] as const) {
  it(`requests made of the document do no harm to a manager on ${name}`, async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'errand-fuzz-'))
    t.after(() => rmSync(place, { recursive: true, force: true }))
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const store = name === 'memory' ? memory() : sqlite(join(place, 'errand.db'))
    const { requests, statuses, answered, never } = await fuzz(store, { requests: 600, seed })
    assert.ok(requests >= 600)
    // It must get through the door, and be turned away at it, often enough to mean anything.
    for (const status of [200, 201, 401, 403, 404, 422])
      assert.ok((statuses.get(status) ?? 0) > 0, `nothing was answered with ${status}`)
    assert.ok(never.length < answered.size / 4, `never answered well: ${never.join(', ')}`)
  })
}

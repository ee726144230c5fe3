import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { canStartPostgres } from '../postgres-server.ts'
import { postgresGround, sqliteGround, type Ground } from './ground.ts'
import { leaseMs, longestSilence } from './held.ts'
import { isRight, trials } from './plan.ts'
import { table } from './table.ts'

// Most of the time they wait for leases to end, each on a store of its own.
describe('exactly once', { concurrency: true }, () => {
  test('sqlite: what a handler writes in the transaction that completes its job is there exactly once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'errand-exactly-once-'))
    const ground = await sqliteGround(folder)
    try {
      await proveShortly(ground, { slots: 1, processes: 1 })
    } finally {
      await ground.close()
      rmSync(folder, { recursive: true })
    }
  })

  if (canStartPostgres()) {
    test('postgres: what a handler writes in the transaction that completes its job is there exactly once', async () => {
      const ground = await postgresGround()
      try {
        await proveShortly(ground, { slots: 4, processes: 2 })
      } finally {
        await ground.close()
      }
    })

    test('postgres: a row that is held open for seconds keeps no other lease from being renewed', async () => {
      const ground = await postgresGround()
      try {
        assert.ok(ground.server)
        const { heldMs, silenceMs, lost } = await longestSilence(ground.url, ground.server)
        assert.ok(heldMs >= 2 * leaseMs, `held for ${heldMs} ms`)
        assert.ok(silenceMs < leaseMs, `${silenceMs} ms without renewal`)
        assert.equal(lost, 0)
      } finally {
        await ground.close()
      }
    })
  }
})

async function proveShortly(
  ground: Ground,
  more: { readonly slots: number; readonly processes: number },
): Promise<void> {
  for await (const result of trials({ ground, ...more }, { kills: 1, stops: 1 }))
    assert.ok(isRight(result), `${table([result])}\n${result.wrong.join('\n')}`)
}

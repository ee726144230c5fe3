import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { canStartPostgres } from '../postgres-server.ts'
import { postgresGround, sqliteGround, type Ground } from './ground.ts'
import { longestSilence } from './held.ts'
import { leaseMs } from './part.ts'
import { isRight, trials } from './plan.ts'
import { table } from './table.ts'

test('sqlite: what a handler writes in the transaction that completes its job is there exactly once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-exactly-once-'))
  const ground = await sqliteGround(folder)
  try {
    await proveShortly(ground, 1)
  } finally {
    await ground.close()
    rmSync(folder, { recursive: true })
  }
})

if (canStartPostgres()) {
  test('postgres: what a handler writes in the transaction that completes its job is there exactly once', async () => {
    const ground = await postgresGround()
    try {
      await proveShortly(ground, 4)
    } finally {
      await ground.close()
    }
  })

  test('postgres: a row that is held open for seconds keeps no other lease from being renewed', async () => {
    const ground = await postgresGround()
    try {
      assert.ok(ground.server)
      const { heldMs, silenceMs, lost } = await longestSilence(ground.url, ground.server)
      assert.ok(heldMs >= 5_000, `held for ${heldMs} ms`)
      assert.ok(silenceMs < leaseMs, `${silenceMs} ms without renewal`)
      assert.equal(lost, 0)
    } finally {
      await ground.close()
    }
  })
}

async function proveShortly(ground: Ground, slots: number): Promise<void> {
  for await (const result of trials({ ground, slots, processes: 2 }, { kills: 2, stops: 1 }))
    assert.ok(isRight(result), `${table([result])}\n${result.wrong.join('\n')}`)
}

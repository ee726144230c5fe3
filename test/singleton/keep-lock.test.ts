/** A lock that is kept is never free, whoever waits for it and however often the rounds come. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { createErrand, singleton, type Errand } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'

const rounds = 1_000

const folder = await mkdtemp(join(tmpdir(), 'errand-keep-lock-'))
const redis = await findRedis()
const postgres = await findPostgres()
after(async () => {
  await redis?.stop()
  await postgres?.stop()
  await rm(folder, { recursive: true })
})

const places: Readonly<Record<string, string | undefined>> = {
  SQLite: `sqlite:${join(folder, 'errand.db')}`,
  Redis: redis?.url,
  PostgreSQL: postgres?.url,
}

/** One process of two: what its runs were given as tokens. */
interface Party {
  readonly errand: Errand
  readonly tokens: number[]
}

async function partyOn(url: string, onRun: (count: number) => void = () => {}): Promise<Party> {
  const tokens: number[] = []
  const kept = singleton({
    name: 'kept',
    pause: '1ms',
    keepLock: true,
    run: ({ token }) => {
      tokens.push(token ?? 0)
      onRun(tokens.length)
    },
  })
  // Beats lie in the store: each one wakes the rival, which then asks for the lock.
  return { tokens, errand: createErrand({ store: await openStore(url), singletons: [kept] }) }
}

void describe('1,000 rounds under a lock that is kept', { concurrency: true }, () => {
  for (const [name, url] of Object.entries(places)) {
    void test(
      `hand over 0 times to a rival that waits, on ${name}`,
      { skip: url === undefined },
      async (t) => {
        const [stopKeeper, stopRival] = [new AbortController(), new AbortController()]
        const enough = Promise.withResolvers<void>()
        const begun = Promise.withResolvers<void>()
        const waits = Promise.withResolvers<void>()
        const passedOn = Promise.withResolvers<void>()
        let from = Infinity
        const keeper = await partyOn(url ?? '', (count) => {
          begun.resolve()
          if (count >= from + rounds) enough.resolve()
        })
        const rival = await partyOn(url ?? '', () => passedOn.resolve())
        t.after(async () => {
          await keeper.errand.close()
          await rival.errand.close()
        })
        rival.errand.on('singleton-waiting', () => waits.resolve())
        const keeping = keeper.errand.singletons.run('kept', { signal: stopKeeper.signal })
        await begun.promise
        const standingBy = rival.errand.singletons.run('kept', { signal: stopRival.signal })
        await waits.promise
        from = keeper.tokens.length
        await enough.promise
        assert.deepEqual(rival.tokens, [])
        assert.equal(new Set(keeper.tokens).size, 1)
        // It did wait: the lock is its own as soon as it is free.
        stopKeeper.abort()
        await keeping
        await passedOn.promise
        stopRival.abort()
        await standingBy
        assert.ok((rival.tokens[0] ?? 0) > (keeper.tokens[0] ?? 0))
      },
    )
  }
})

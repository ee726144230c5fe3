/** A holder whose wall clock jumps, and one that was stopped for longer than its lock lasted. */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { createErrand, singleton } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import { startHolder, type HolderProcess } from './holder-process.ts'

const ttl = 2_000
const hourMs = 3_600_000

const folder = await mkdtemp(join(tmpdir(), 'errand-clocks-'))
const redis = await findRedis()
const postgres = await findPostgres()
after(async () => {
  await redis?.stop()
  await postgres?.stop()
  await rm(folder, { recursive: true })
})

const servers: Readonly<Record<string, string | undefined>> = {
  Redis: redis?.url,
  PostgreSQL: postgres?.url,
}

/** A process that wants the lock, here: its tokens, and a promise of the first. It waits now, or has had the lock already. */
async function rivalOn(
  t: TestContext,
  store: string,
): Promise<{ readonly tokens: readonly number[]; readonly ran: Promise<number> }> {
  const tokens: number[] = []
  const ran = Promise.withResolvers<number>()
  const held = singleton({
    name: 'held',
    pause: '50ms',
    keepLock: true,
    ttl,
    liveness: [],
    run: ({ token }) => {
      tokens.push(token ?? 0)
      ran.resolve(token ?? 0)
    },
  })
  const errand = createErrand({ store: await openStore(store), singletons: [held] })
  const stop = new AbortController()
  const waits = Promise.withResolvers<void>()
  errand.on('singleton-waiting', () => waits.resolve())
  const ended = errand.singletons.run('held', { signal: stop.signal })
  t.after(async () => {
    stop.abort()
    await ended
    await errand.close()
  })
  await Promise.race([waits.promise, ran.promise])
  return { tokens, ran: ran.promise }
}

interface SaidRound {
  readonly token: number
  readonly ticks: number
  readonly wall: number
}

function roundsOf({ lines }: HolderProcess): readonly SaidRound[] {
  return lines.filter((line) => line.kind === 'round')
}

void describe('a wall clock that jumps', { concurrency: true }, () => {
  const paceMs = 1_000
  for (const [name, url] of Object.entries(servers)) {
    for (const pace of ['every', 'pause'] as const) {
      const what = `moves neither the pace nor the lock of its process: ${pace}, on ${name}`
      void test(what, { skip: url === undefined }, async (t) => {
        const clock = join(folder, `${name}-${pace}`)
        await writeFile(clock, '0')
        // Each test has locks of its own.
        const place = new URL(url ?? '')
        if (name === 'Redis') place.search = `prefix=${pace}`
        else place.searchParams.set('schema', `clock_${pace}`)
        const store = place.href
        const holder = startHolder(
          t,
          { store, ttl, register: null, [pace]: paceMs },
          {
            args: ['--import', import.meta.resolve('./jumping-clock.ts')],
            env: { JUMPING_CLOCK_FILE: clock },
          },
        )
        await holder.until(() => roundsOf(holder).length >= 1)
        const rival = await rivalOn(t, store)
        for (const offsetMs of [hourMs, -hourMs]) {
          const begun = roundsOf(holder).length
          await holder.until(() => roundsOf(holder).length > begun)
          // A run is under way now.
          await writeFile(clock, String(offsetMs))
          const before = roundsOf(holder).length
          // Longer than the lock lasts without an extension.
          await holder.until(() => roundsOf(holder).length >= before + (2 * ttl) / paceMs)
          const jump = (roundsOf(holder).at(-1)?.wall ?? 0) - Date.now() - offsetMs
          assert.ok(Math.abs(jump) < 60_000, 'the clock did not jump')
        }
        const rounds = roundsOf(holder)
        // The first round began before it had the lock.
        for (const [i, { ticks }] of rounds.slice(2).entries()) {
          const since = ticks - (rounds[i + 1]?.ticks ?? 0)
          // A late round is followed by one in its time; after a jump that counted, one would follow at once.
          assert.ok(since > paceMs / 10, `round ${i + 3} came ${since} ms after the one before it`)
        }
        assert.equal(new Set(rounds.map(({ token }) => token)).size, 1)
        assert.ok(
          holder.lines.every((line) => line.kind !== 'ended' || line.status === 'succeeded'),
        )
        assert.deepEqual(rival.tokens, [])
      })
    }
  }
})

void describe('a process that was stopped until its lock had passed on', { concurrency: 2 }, () => {
  const places = { SQLite: `sqlite:${join(folder, 'errand.db')}`, ...servers }
  for (const [name, store] of Object.entries(places)) {
    const what = `does nothing more when it wakes, and its token is refused, on ${name}`
    void test(what, { skip: store === undefined }, async (t) => {
      const register = await startRegister(t)
      const holder = startHolder(t, { store: store ?? '', ttl, register: register.port, pause: 50 })
      await holder.until(() => holder.lines.some(({ kind }) => kind === 'wrote'))
      holder.kill('SIGSTOP')
      const said = holder.lines.length
      const rival = await rivalOn(t, store ?? '')
      const token = await rival.ran
      assert.ok(token > (roundsOf(holder)[0]?.token ?? Infinity))
      assert.equal(await register.write(token), 204)
      holder.kill('SIGCONT')
      await holder.until(() => holder.lines.some(({ kind }) => kind === 'ended'))
      assert.deepEqual(holder.lines.slice(said), [
        { kind: 'aborted', code: 'lease-lost' },
        { kind: 'wrote', status: 409 },
        { kind: 'ended', status: 'interrupted' },
      ])
      assert.equal(await register.write(token), 204)
    })
  }
})

/** The register of the contests: it refuses tokens that are smaller than one it has seen. */
async function startRegister(
  t: TestContext,
): Promise<{ readonly port: number; write(token: number): Promise<number> }> {
  const child: ChildProcess = fork(join(import.meta.dirname, '../contest/register.ts'))
  t.after(() => child.kill('SIGKILL'))
  const [port] = (await once(child, 'message')) as [number]
  return {
    port,
    write: async (token) => {
      const target = `http://127.0.0.1:${port}/?contender=rival&token=${token}`
      return (await fetch(target, { method: 'POST' })).status
    },
  }
}

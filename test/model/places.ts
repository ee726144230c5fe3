/** Empty stores for runs, cheap to make: thousands are used up. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import type { StoreFixture, StoreHarness } from '../../src/testing/conformance/index.ts'
import { claimOf } from '../../src/testing/conformance/jobs.ts'
import { VirtualClock, virtualStart } from '../../src/testing/virtual-clock.ts'
import { postgresHarness } from '../postgres-harness.ts'
import { findPostgres } from '../postgres-server.ts'
import { redisHarness } from '../redis-harness.ts'
import { startRedis } from '../redis-server.ts'
import { clients } from './commands.ts'
import type { Place } from './run.ts'

/** Where runs take place, one after the other. */
export interface Ground {
  open(): Promise<Place>
  close(): Promise<void>
}

export const storeNames = ['memory', 'sqlite', 'postgres', 'redis'] as const
export type StoreName = (typeof storeNames)[number]

/** Ground of a kind; null when this machine has no such server. */
export async function groundOf(name: StoreName): Promise<Ground | null> {
  switch (name) {
    case 'memory':
      return { open: async () => inMemory(), close: async () => {} }
    case 'sqlite':
      return sqliteGround()
    case 'postgres':
      return postgresGround()
    case 'redis': {
      const server = await startRedis()
      const harness = redisHarness([server.url])
      return { open: () => redisPlace(harness), close: () => server.stop() }
    }
  }
}

function inMemory(): Place {
  const database = new MemoryDatabase()
  return withClock(
    (clock) => memory({ clock, database }),
    async () => {},
  )
}

async function sqliteGround(): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-model-'))
  let files = 0
  return {
    async open() {
      const own = join(folder, String((files += 1)))
      return withClock(
        (clock) => sqlite(`${own}.db`, { clock }),
        async () => {
          for (const end of ['', '-wal', '-shm']) await rm(`${own}.db${end}`, { force: true })
        },
      )
    },
    close: () => rm(folder, { recursive: true }),
  }
}

/** Runs share connections: most of a call on a new one is the planning of functions. */
async function postgresGround(): Promise<Ground | null> {
  const server = await findPostgres()
  if (server === null) return null
  const harness = await postgresHarness(server.url)
  const { schema } = harness
  const pool = new pg.Pool({ connectionString: server.url, max: clients })
  return {
    async open() {
      const fixture = await harness.create()
      const stores = Array.from({ length: clients }, () =>
        postgres(pool, { schema, listen: false }),
      )
      return placeOf(stores, fixture, async () => {
        for (const store of stores) await store.close()
        await fixture.dispose()
      })
    },
    async close() {
      await pool.end()
      await harness.close()
      await server.stop()
    },
  }
}

function withClock(make: (clock: VirtualClock) => Store, clean: () => Promise<void>): Place {
  const clock = new VirtualClock()
  const stores = Array.from({ length: clients }, () => make(clock))
  return {
    clients: stores,
    now: virtualStart,
    advance: (ms) => clock.advance(ms),
    dispose: async () => {
      for (const store of stores) await store.close()
      await clean()
    },
  }
}

async function redisPlace(harness: StoreHarness): Promise<Place> {
  const fixture = await harness.create()
  const stores = [fixture.store]
  while (stores.length < clients) stores.push(await fixture.another())
  return placeOf(stores, fixture, () => fixture.dispose())
}

async function placeOf(
  stores: readonly Store[],
  fixture: StoreFixture,
  dispose: () => Promise<void>,
): Promise<Place> {
  const asked = await stores[0]?.claim(claimOf({ queues: [], limit: 0 }))
  return {
    clients: stores,
    now: asked?.now ?? 0,
    advance: (ms) => fixture.advance(ms),
    dispose,
  }
}

/**
 * Random graphs of 200 jobs that need each other: `npm run graphs -- --store postgres --minutes 3`. Workers die, nodes fail, are
 * cancelled, taken and retried; each graph has a seed, and `--seed` lives one through again. With `--kills` they are workflows that
 * real processes start, run and retry, which are killed and stopped meanwhile.
 * Exits with 0 when all rules were kept, 1 otherwise, 2 for wrong use.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { liveGraph } from '../../src/testing/conformance/graph-rules.ts'
import type { StoreFixture, StoreHarness } from '../../src/testing/conformance/index.ts'
import { Scene } from '../../src/testing/conformance/scene.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import type { Store } from '../../src/store/store.ts'
import { postgresHarness } from '../postgres-harness.ts'
import { findPostgres } from '../postgres-server.ts'
import { redisHarness } from '../redis-harness.ts'
import { findRedis } from '../redis-server.ts'
import { groundNames, groundOf, type GroundName } from './grounds.ts'
import { prove } from './kills.ts'

/** Gives graphs of 200 nodes. */
const rounds = 100

interface Place {
  readonly harness: StoreHarness
  readonly close: () => Promise<unknown>
}

const places: Readonly<Record<string, () => Promise<Place | null>>> = {
  memory: async () => ({ harness: { create: inMemory }, close: async () => undefined }),
  sqlite: async () => ({ harness: { create: onFile }, close: async () => undefined }),
  async postgres() {
    const server = await findPostgres()
    if (server === null) return null
    const harness = await postgresHarness(server.url)
    return { harness, close: () => harness.close().then(() => server.stop()) }
  },
  async redis() {
    const server = await findRedis()
    if (server === null) return null
    return { harness: redisHarness([server.url]), close: () => server.stop() }
  },
}

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      store: { type: 'string', default: 'memory' },
      minutes: { type: 'string', default: '3' },
      seed: { type: 'string' },
      kills: { type: 'boolean', default: false },
    },
  })
  const open = places[values.store]
  const minutes = Number(values.minutes)
  const ground = groundNames.find((name) => name === values.store)
  if (open === undefined || !(minutes > 0) || (values.kills && ground === undefined)) {
    console.error(
      `npm run graphs -- --store ${Object.keys(places).join('|')} [--minutes 3] [--seed n] [--kills]
  --kills takes ${groundNames.join(', ')}`,
    )
    return 2
  }
  if (values.kills && ground !== undefined) return kill(ground, minutes, values.seed)
  const place = await open()
  if (place === null) {
    console.error(`${values.store} runs nowhere here`)
    return 2
  }
  const until = Date.now() + minutes * 60_000
  let graphs = 0
  try {
    do {
      const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
      await once(place.harness, seed)
      graphs += 1
    } while (values.seed === undefined && Date.now() < until)
  } catch (error) {
    console.error(String(error))
    return 1
  } finally {
    await place.close()
  }
  console.log(`${values.store}: ${graphs} graphs of 200 nodes, every rule kept`)
  return 0
}

/** Lives through one set of workflows after the other, in an empty store each. */
async function kill(name: GroundName, minutes: number, seed: string | undefined): Promise<number> {
  const ground = await groundOf(name)
  if (ground === null) {
    console.error(`${name} runs nowhere here`)
    return 2
  }
  const until = Date.now() + minutes * 60_000
  const total = { kills: 0, stops: 0, nodes: 0 }
  try {
    do {
      const own = seed ?? String(Math.floor(Math.random() * 2 ** 32))
      const plan = {
        store: ground.next(),
        seed: own,
        runs: 4,
        nodes: 200,
        crew: 3,
        strikes: 12,
        retries: true,
      }
      const { kills, stops, nodes, wrong } = await prove(plan)
      total.kills += kills
      total.stops += stops
      total.nodes += nodes
      for (const one of wrong) console.error(`WRONG, seed ${own}: ${one}`)
      if (wrong.length > 0) return 1
      if (seed !== undefined) break
    } while (Date.now() < until)
  } finally {
    await ground.close()
  }
  console.log(
    `${name}: ${total.nodes} jobs of workflows, ${total.kills} processes killed, ${total.stops} stopped past their leases, every rule kept`,
  )
  return 0
}

async function once(harness: StoreHarness, seed: number): Promise<void> {
  const fixture = await harness.create()
  try {
    await liveGraph(new Scene(fixture, { ...harness, rounds }), seed)
  } finally {
    await fixture.dispose()
  }
}

async function inMemory(): Promise<StoreFixture> {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  return fixtureOf(
    clock,
    () => memory({ clock, database }),
    async () => undefined,
  )
}

async function onFile(): Promise<StoreFixture> {
  const clock = new VirtualClock()
  const folder = await mkdtemp(join(tmpdir(), 'errand-graphs-'))
  const file = join(folder, 'jobs.db')
  return fixtureOf(
    clock,
    () => sqlite(file, { clock }),
    () => rm(folder, { recursive: true }),
  )
}

function fixtureOf(
  clock: VirtualClock,
  open: () => Store,
  remove: () => Promise<void>,
): StoreFixture {
  const stores: Store[] = []
  const another = async (): Promise<Store> => {
    const store = open()
    stores.push(store)
    return store
  }
  const first = open()
  stores.push(first)
  return {
    store: first,
    another,
    advance: (ms) => clock.advance(ms),
    dispose: async () => {
      for (const store of stores) await store.close()
      await remove()
    },
  }
}

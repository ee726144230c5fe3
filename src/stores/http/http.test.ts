/**
 * The rules of stores at a manager, on SQLite and on PostgreSQL, and with the manager killed and restarted at random under the
 * calls. Left out are the rules of a user's own transaction (`heldRules`), in which no manager takes part.
 *
 * A call that adds, such as a take, ends as `unknown-outcome` when its manager dies in the middle of it, as it should: so none dies
 * while one is under way.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { fewOfEach, isFull } from '../../../test/full.ts'
import { managerUnderTest, type ManagerUnderTest } from '../../../test/manager-server.ts'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { findPostgres } from '../../../test/postgres-server.ts'
import { calls, type CallName } from '../../store/calls.ts'
import type { Store } from '../../store/store.ts'
import type { Finish } from '../../store/worker-calls.ts'
import {
  raceRules,
  runRules,
  storeRules,
  type Rule,
  type StoreFixture,
  type StoreHarness,
} from '../../testing/conformance/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { sqlite } from '../sqlite/index.ts'
import { http } from './index.ts'

/** Groups in which a manager that goes away does the most harm. */
const endangered: ReadonlySet<string> = new Set([
  'insert',
  'claim',
  'settle',
  'crashes',
  'renew',
  'rescue',
  'races',
  'records',
])

/** How often a race is run. */
const rounds = isFull ? 5 : 3

type Peril = 'steady' | 'perilous'

/** Kills or restarts a manager in the middle of requests: one of the first of a fixture, and now and then one after it. */
class Misfortune {
  readonly #peril: Peril
  #manager: ManagerUnderTest | null = null
  #requests = 0
  #delicate = 0
  #next = 1 + Math.floor(Math.random() * 4)
  #striking: Promise<void> | null = null

  constructor(peril: Peril) {
    this.#peril = peril
  }

  of(manager: ManagerUnderTest): void {
    this.#manager = manager
  }

  /** The same store, which makes no delicate call while a manager goes down. */
  protect(store: Store): Store {
    const guarded = Object.keys(calls).map((name) => [name, this.#guard(store, name as CallName)])
    return { ...store, ...(Object.fromEntries(guarded) as Pick<Store, CallName>) }
  }

  met(): void {
    this.#requests += 1
    if (this.#requests < this.#next || this.#delicate > 0 || this.#striking !== null) return
    if (this.#peril === 'steady' || this.#manager === null) return
    this.#next = this.#requests + 10 + Math.floor(Math.random() * 60)
    const strike = Math.random() < 0.7 ? 'kill' : 'restart'
    this.#striking = this.#manager[strike]().finally(() => (this.#striking = null))
  }

  async end(): Promise<void> {
    await this.#striking
  }

  #guard(store: Store, name: CallName): unknown {
    const call = store[name] as (...args: unknown[]) => Promise<unknown>
    let provenAt = 1
    return async (...args: unknown[]) => {
      if (!isDelicate(name, args)) return call(...args)
      while (this.#striking !== null) await this.#striking
      this.#delicate += 1
      try {
        const { starts } = this.#manager ?? { starts: 1 }
        // A connection may have died that its client still takes for alive: each of them is tried.
        if (starts !== provenAt) await Promise.all([1, 2, 3].map(() => store.tasks()))
        provenAt = starts
        return await call(...args)
      } finally {
        this.#delicate -= 1
      }
    }
  }
}

/** Whether a call may not be made twice: it adds, or it ends a job of which nothing is left to tell. */
function isDelicate(name: CallName, args: readonly unknown[]): boolean {
  if (name === 'settle') return (args[0] as Finish[]).some(({ keepMs }) => keepMs === 0)
  return name !== 'claim' && calls[name].repeat === 'adds'
}

const all = [...storeRules, ...raceRules]
const isEndangered = ({ group }: Rule): boolean => endangered.has(group)
// What holds with a manager that dies holds with one that lives.
const quiet = isFull ? all : all.filter((rule) => !isEndangered(rule))
const perilous = isFull ? all : all.filter(isEndangered)

runRules({
  test,
  harness: { create: () => onSqlite('steady'), rounds },
  rules: fewOfEach(quiet, 4, 'watch', 'close'),
})
// Most of the time they wait for the next manager, each for its own.
suite('with a manager that dies', { concurrency: 8 }, () => {
  runRules({
    test,
    harness: { create: () => onSqlite('perilous'), rounds },
    rules: fewOfEach(perilous, 5, 'crashes', 'races'),
  })
})

const server = await findPostgres()
if (server !== null) {
  const inner = await postgresHarness(server.url)
  after(async () => {
    await inner.close()
    await server.stop()
  })
  suite('on PostgreSQL', () => {
    runRules({
      test,
      harness: { create: () => behind(inner.onPool), rounds },
      rules: fewOfEach(perilous, 2),
    })
  })
}

async function onSqlite(peril: Peril): Promise<StoreFixture> {
  const clock = new VirtualClock()
  const folder = await mkdtemp(join(tmpdir(), 'errand-http-'))
  const stores: Store[] = []
  const misfortune = new Misfortune(peril)
  const manager = await managerUnderTest({
    open: () => sqlite(join(folder, 'jobs.db'), { clock }),
    onRequest: () => misfortune.met(),
  })
  misfortune.of(manager)
  const open = (): Store => {
    const store = misfortune.protect(http({ url: manager.url }))
    stores.push(store)
    return store
  }
  return {
    store: open(),
    another: async () => open(),
    advance: (ms) => clock.advance(ms),
    dispose: async () => {
      for (const store of stores) await store.close()
      await misfortune.end()
      await manager.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** A manager on each of another harness's stores. */
async function behind(inner: StoreHarness): Promise<StoreFixture> {
  const fixture = await inner.create()
  const stores: Store[] = []
  const manager = await managerUnderTest({ open: () => fixture.store })
  const open = (): Store => {
    const store = http({ url: manager.url })
    stores.push(store)
    return store
  }
  return {
    ...fixture,
    store: open(),
    another: async () => open(),
    dispose: async () => {
      for (const store of stores) await store.close()
      await manager.close()
      await fixture.dispose()
    },
  }
}

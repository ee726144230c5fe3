import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { after } from 'node:test'
import type { Store } from '../../store/store.ts'
import {
  raceRules,
  runRules,
  storeRules,
  type Spoiled,
  type StoreHarness,
} from '../../testing/conformance/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { sqlite } from './index.ts'

/** An empty file, of which each rule gets a copy: making the tables takes longer than most of them. */
const empty = join(await mkdtemp(join(tmpdir(), 'errand-sqlite-')), 'jobs.db')
after(() => rm(dirname(empty), { recursive: true }))
const first = sqlite(empty, { clock: new VirtualClock() })
await first.setup()
await first.close()

const harness: StoreHarness = {
  async create() {
    const clock = new VirtualClock()
    const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
    await copyFile(empty, join(folder, 'jobs.db'))
    const stores: Store[] = []
    const open = (): Store => {
      const store = sqlite(join(folder, 'jobs.db'), { clock })
      stores.push(store)
      return store
    }
    return {
      store: open(),
      another: async () => open(),
      advance: (ms) => clock.advance(ms),
      spoil: async (id, what) => spoil(join(folder, 'jobs.db'), id, what),
      dispose: async () => {
        for (const store of stores) await store.close()
        await rm(folder, { recursive: true })
      },
    }
  },
}

runRules({ test, harness, rules: [...storeRules, ...raceRules] })

/** A time that SQLite keeps and `node:sqlite` refuses to read. */
const never = 2n ** 62n

function spoil(file: string, id: string, what: Spoiled): void {
  const db = new DatabaseSync(file)
  switch (what) {
    case 'created':
      db.prepare('UPDATE errand_jobs SET created_at = ? WHERE id = ?').run(never, id)
      break
    case 'due':
      db.prepare(
        'UPDATE errand_scheduled SET due_at = ? WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?)',
      ).run(never, id)
      db.prepare('UPDATE errand_jobs SET due_at = ?, place = ? WHERE id = ?').run(never, never, id)
      break
    case 'spans':
      db.prepare(
        'UPDATE errand_jobs SET start_within_ms = ?, deadline_ms = ?, keep_cancelled_ms = ? WHERE id = ?',
      ).run(never, never, never, id)
      break
    case 'counters':
      db.prepare(`UPDATE errand_jobs SET counters = 'many,,,few' WHERE id = ?`).run(id)
      break
  }
  db.close()
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { Store } from '../../store.ts'
import { runRules, storeRules, type StoreHarness } from '../../testing/conformance/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { sqlite } from './index.ts'

const harness: StoreHarness = {
  async create() {
    const clock = new VirtualClock()
    const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
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
      dispose: async () => {
        for (const store of stores) await store.close()
        await rm(folder, { recursive: true })
      },
    }
  },
}

runRules({ test, harness, rules: storeRules })

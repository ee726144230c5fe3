import test from 'node:test'
import {
  raceRules,
  runRules,
  storeRules,
  type StoreHarness,
} from '../../testing/conformance/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { memory, MemoryDatabase } from './index.ts'

const harness: StoreHarness = {
  async create() {
    const clock = new VirtualClock()
    const database = new MemoryDatabase()
    const stores = [memory({ clock, database })]
    return {
      store: stores[0]!,
      another: async () => {
        const store = memory({ clock, database })
        stores.push(store)
        return store
      },
      advance: (ms) => clock.advance(ms),
      dispose: async () => {
        for (const store of stores) await store.close()
      },
    }
  },
}

runRules({ test, harness, rules: [...storeRules, ...raceRules] })

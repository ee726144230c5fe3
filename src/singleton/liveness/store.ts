/** Liveness in the app's own store. */
import type { Store } from '../../store/store.ts'
import type { Beat, Beats, Liveness } from './liveness.ts'

/** Keeps beats as records of a store, which stays open. */
export function storeLiveness(store: Store): Liveness {
  const keyOf = (singleton: string, kind: Beat['kind']): string => `liveness/${kind}/${singleton}`
  const beat = async (singleton: string, kind: Beat['kind']): Promise<Beats['success']> => {
    const [text = null] = await store.getRecords([keyOf(singleton, kind)])
    return text === null ? null : (JSON.parse(text) as Beats['success'])
  }
  return {
    info: { kind: 'store', location: store.info.location },
    async write({ singleton, kind, at, host }) {
      await store.putRecords([{ key: keyOf(singleton, kind), text: JSON.stringify({ at, host }) }])
    },
    async read(singleton) {
      const [success, alive] = await Promise.all([
        beat(singleton, 'success'),
        beat(singleton, 'alive'),
      ])
      return { success, alive }
    },
    close: async () => {},
  }
}

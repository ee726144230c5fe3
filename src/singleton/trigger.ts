/** Ends a singleton's rest from anywhere: a record of the store that its loop watches while it rests. */
import type { Store } from '../store/store.ts'

/** The key of the record. */
export function triggerKey(name: string): string {
  return `trigger/${name}`
}

/** Answers a function that calls back when the record has changed since it was looked at last, until its answer is called. */
export async function triggersOf(
  store: Store,
  name: string,
): Promise<(wake: () => void) => () => void> {
  const read = async (): Promise<string | null> =>
    (await store.getRecords([triggerKey(name)]))[0] ?? null
  // A store that is away wakes nobody; the rest ends by its time.
  let seen = await read().catch(() => null)
  return (wake) => {
    const look = async (): Promise<void> => {
      const record = await read()
      if (record !== null && record !== seen) wake()
      seen = record
    }
    const glance = (): void => void look().catch(() => {})
    glance()
    return store.watch((hint) => (hint === 'record' ? glance() : undefined), ['record'])
  }
}

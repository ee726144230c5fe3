/** Cancels jobs of earlier ticks, to make room for the next. */
import { isFinal, jobStates } from '../../core/job.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { Page } from '../../store/readers.ts'
import type { Store } from '../../store/store.ts'
import type { StoredSchedule } from './stored.ts'

const chunk = 1_000
const openStates = jobStates.filter((state) => !isFinal(state))

/** Of a run of a workflow all that is open is cancelled, its end first. */
export async function cancelOpen(
  store: Store,
  { enqueues }: StoredSchedule,
  ids: readonly string[],
): Promise<void> {
  for (let from = 0; from < ids.length; from += chunk)
    await answered(store.clock, store.cancel(ids.slice(from, from + chunk), 'overlap'))
  if (enqueues?.workflow === undefined) return
  for (const group of ids) {
    let after: string | null = null
    do {
      const cursor: { after?: string } = after === null ? {} : { after }
      const query = { group, states: openStates, limit: chunk, ...cursor }
      const page: Page = await answered(store.clock, store.list(query))
      const some = page.jobs.map(({ id }) => id)
      if (some.length > 0) await answered(store.clock, store.cancel(some, 'overlap'))
      after = page.next
    } while (after !== null)
  }
}

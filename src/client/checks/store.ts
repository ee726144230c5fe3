/** Checks of the store: whether it answers, what it says of itself, and what time it is there. */
import { randomUUID } from 'node:crypto'
import { formatMs } from '../../core/duration.ts'
import { performance } from '../../core/timers.ts'
import { oneLine } from '../../core/words.ts'
import type { Store } from '../../store/store.ts'
import { fail, ok, warn, type Check, type Finding } from './finding.ts'
import type { Inspected } from './inspected.ts'

const slowStoreMs = 1_000
const clockSlackMs = 5_000

/** Whether the store answers, is up to date and can be written. Later checks are useless when it cannot. */
export const checkStore: Check<Inspected> = async ({ store }) => {
  const { kind, location } = store.info
  try {
    await store.setup()
  } catch (error) {
    return [fail('store', messageOf(error), `The ${kind} store at ${location} cannot be used.`)]
  }
  return [
    ok('store', `${kind} at ${location}`),
    ok('schema', 'up to date'),
    await checkWrites(store),
  ]
}

/** Removing a job that cannot exist takes the way of a write and changes nothing. */
async function checkWrites(store: Store): Promise<Finding> {
  const startedAt = performance.now()
  try {
    await store.remove([randomUUID()])
  } catch (error) {
    return fail('writes', messageOf(error), 'No job can be enqueued or finished.')
  }
  const tookMs = performance.now() - startedAt
  const text = `answered in ${formatMs(tookMs)}`
  return tookMs < slowStoreMs
    ? ok('writes', text)
    : warn('writes', text, 'Something holds the store: look for long transactions, or a slow disk.')
}

/** What the store itself says is wrong with its set-up. */
export const checkRisks: Check<Inspected> = async ({ store }) => {
  try {
    const warnings = await store.warnings('try')
    return warnings.map(({ text, advice }) => warn(store.info.kind, text, advice))
  } catch (error) {
    return [
      warn(store.info.kind, messageOf(error), 'What else there is to know, could not be asked.'),
    ]
  }
}

/** Whether the store's clock and this machine's agree, and time did not go back. */
export const checkClock: Check<Inspected> = async ({ store, jobs }) => {
  const askedAt = Date.now()
  // A sweep for no task changes nothing and tells the store's time; a store that cannot be written to does not even do that.
  const swept = { worker: 'doctor', tasks: [], limit: 1, leaseMs: 1_000 }
  const now = await store.rescue(swept).then(
    (answer) => answer.now,
    () => null,
  )
  if (now === null) return [warn('clock', 'not known', 'See what is said of writes.')]
  const apartMs = Math.max(askedAt - now, now - Date.now(), 0)
  if (apartMs > clockSlackMs) {
    return [
      warn(
        'clock',
        `the store is ${formatMs(apartMs)} apart from this machine`,
        'Let both set their clocks by NTP.',
      ),
    ]
  }
  const [newest] = (await jobs.list({ limit: 1 })).jobs
  const aheadMs = newest === undefined ? 0 : newest.createdAt.getTime() - now
  return aheadMs > clockSlackMs
    ? [
        warn(
          'clock',
          `the newest job was enqueued ${formatMs(aheadMs)} from now`,
          'A clock went back: set it by NTP.',
        ),
      ]
    : [ok('clock', 'agrees with the store')]
}

function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error))
}

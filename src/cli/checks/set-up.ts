/** Checks of the set-up: Node, tasks, and what the store can do. */
import { randomUUID } from 'node:crypto'
import type { Errand } from '../../errand.ts'
import { tryRenewer } from '../../worker/renewer.ts'
import { formatMs } from '../../core/duration.ts'
import { oneLine } from '../exit.ts'
import { counted } from '../job-words.ts'
import { fail, ok, warn, type Check, type Finding } from './finding.ts'

const leastNode = [22, 18] as const
const slowStoreMs = 1_000
const clockSlackMs = 5_000

/** Whether this Node can run Errand. */
export function checkNode(): Finding {
  const version = process.versions.node
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1])
    ? ok('node', `version ${version}`)
    : fail('node', `version ${version} is too old`, `Install Node ${leastNode.join('.')} or newer.`)
}

/** Whether the configured tasks load. */
export const checkTasks: Check<Errand> = async ({ tasks }) => {
  try {
    const names = await tasks.load()
    return names.length === 0
      ? [
          warn(
            'tasks',
            'none are configured',
            'Only workers whose configuration lists tasks run jobs.',
          ),
        ]
      : [ok('tasks', `${names.length} loaded: ${shortened(names)}`)]
  } catch (error) {
    return [fail('tasks', messageOf(error), 'No worker starts before they load.')]
  }
}

/** Whether the store answers, is up to date and can be written. Later checks are useless when it cannot. */
export const checkStore: Check<Errand> = async ({ store }) => {
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
async function checkWrites(store: Errand['store']): Promise<Finding> {
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

/** What the store promises, and how leases are renewed: a thread is tried. */
export const checkPromises: Check<Errand> = async ({ store }) => {
  const { mode, why } = await tryRenewer(store)
  const advice = 'A handler that blocks it longer than the lease loses its job.'
  return [
    ok('durability', store.info.durability),
    mode === 'thread'
      ? ok('renewer', 'leases are renewed by a thread')
      : warn(
          'renewer',
          'leases are renewed on the event loop',
          `${advice} ${why ?? 'Make the store from a file name or URL.'}`,
        ),
  ]
}

/** What the store itself says is wrong with its set-up. */
export const checkRisks: Check<Errand> = async ({ store }) => {
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
export const checkClock: Check<Errand> = async ({ store, jobs }) => {
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

function shortened(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${counted(names.length - 5, 'other')}` : shown
}

function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error))
}

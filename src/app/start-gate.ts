/**
 * The gates of a start that takes several steps: hidden jobs that keep what is stored from running until all of it is.
 *
 * Every step's first jobs need the gate of their step, and that gate needs the one of the step before; the first needs
 * nothing and is due some minutes after the last sign of life of whoever starts. The last step, which stores the end of the
 * run, makes it due at once. So a first gate that runs and finds no end belongs to a start that died: it takes it back.
 */
import { Discard, Postpone } from '../core/instructions.ts'
import { task, type AnyTask } from '../core/task.ts'
import type { App } from './app.ts'

export const gateTaskName = 'errand.gate'

/** How long a start may be silent before it is taken back, in ms. */
export const startPatienceMs: number = 5 * 60_000

/** The input of the first gate; that of the others is null. */
export interface GateInput {
  /** The id of the run. */
  readonly run: string
  /** The record of its start. */
  readonly record: string
}

/** How many jobs are removed in one step. */
const page = 200

/** The record of a run's start, and the unique key of its first gate: on Redis the two lie together. */
export function startKey(run: string): string {
  return `workflow/${run}`
}

/** The task of gates, for the workers of an app. */
export function gateTask(app: App): AnyTask {
  return task({
    name: gateTaskName,
    retry: { limit: 'none' },
    postpone: { limit: 'none' },
    losses: 'none',
    timeout: '1h',
    run: async (input: GateInput | null, job) => {
      if (input === null) return
      if (await isWhole(app, input)) return
      if (!(await giveUp(app, input))) throw new Postpone('10s')
      await removeAll(app, input.run, job.id)
      throw new Discard('its start did not come to its end')
    },
  })
}

/**
 * Takes back what a start has stored, by whoever started and failed. Once its record is gone, no step of it is stored any
 * more. Resolves with false where another goes on with it.
 */
export async function takeBack(app: App, run: string, record: string): Promise<boolean> {
  const key = startKey(run)
  const [put] = await app.store.putRecords([{ key, text: null, if: record }])
  if (put === 'stale') return false
  await removeAll(app, run, null)
  return true
}

/** The end comes with the last step. What a repeat of the start left is dropped. */
async function isWhole(app: App, { run, record: key }: GateInput): Promise<boolean> {
  const [end] = await app.store.get([run])
  if (!end) return false
  await app.store.putRecords([{ key, text: null }])
  return true
}

/** Whether nobody goes on with the start from now on. */
async function giveUp(app: App, { record: key }: GateInput): Promise<boolean> {
  const [text = null] = await app.store.getRecords([key])
  if (text === null) return true
  const [put] = await app.store.putRecords([{ key, text: null, if: text }])
  return put === 'put'
}

/** The newest first, so that no job is told that one it needs is gone. None of them has begun. */
async function removeAll(app: App, run: string, but: string | null): Promise<void> {
  let after: string | null = null
  do {
    const cursor: { after?: string } = after === null ? {} : { after }
    const found = await app.store.list({ group: run, limit: page, ...cursor })
    const ids = found.jobs.map(({ id }) => id).filter((id) => id !== but)
    if (ids.length > 0) await app.store.remove(ids)
    after = found.next
  } while (after !== null)
}

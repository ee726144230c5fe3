/** What is kept of needed jobs: how they ended, for as long as their dependants' group lives. */
import { handedBytes, isFinal, type JobState } from '../../core/job.ts'
import type { Needed } from '../../store/job.ts'
import type { MemoryDatabase, Row } from './state.ts'

/** Keeps how a needed job ended, if the job that waited for it wants that. */
export function keepOutput(
  db: MemoryDatabase,
  waiting: Row,
  need: string,
  ended: Row | undefined,
): void {
  if (ended === undefined || !isFinal(ended.state) || waiting.group === null) return
  if (!waiting.wants.some(({ id }) => id === need)) return
  const kept = db.outputs.get(waiting.group) ?? new Map()
  db.outputs.set(waiting.group, kept)
  const { id, state, output, codec } = ended
  kept.set(id, { id, state, output, codec })
}

/** How a job ended that is not known any more, if that was kept; null when it was not. */
export function keptState(db: MemoryDatabase, waiting: Row, need: string): JobState | null {
  if (waiting.group === null) return null
  return db.outputs.get(waiting.group)?.get(need)?.state ?? null
}

/** What the claim of a job hands out beside its input. */
export function neededBy(db: MemoryDatabase, row: Row): Needed {
  if (row.wants.length === 0 || row.group === null) return []
  const kept = db.outputs.get(row.group)
  const needed = row.wants.map(({ id, isHanded }) => {
    const { state = null, output = null, codec = null } = kept?.get(id) ?? {}
    return { id, state, output: isHanded ? output : null, codec }
  })
  return sizeOf(needed) > handedBytes ? 'too-large' : needed
}

/** The outputs in it, in characters. */
export function sizeOf(needed: Needed): number {
  if (typeof needed === 'string') return 0
  return needed.reduce((size, { output }) => size + (output?.length ?? 0), 0)
}

/** Forgets what no job of its group can want any more. */
export function pruneOutputs(db: MemoryDatabase): void {
  if (db.outputs.size === 0) return
  const groups = new Set([...db.jobs.values()].map(({ group }) => group))
  for (const group of db.outputs.keys()) if (!groups.has(group)) db.outputs.delete(group)
}

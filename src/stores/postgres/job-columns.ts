/**
 * The columns of a job that come with its insert. Each is named here once: the statements that
 * insert, replace, hand out and show jobs are made from this list, and `readKnown` in rows.ts reads
 * what they return.
 */
import type { NewJob } from '../../store/job.ts'
import { packLabels } from '../labels.ts'

type Value = string | number | null

export interface JobColumn {
  readonly name: string
  readonly type: 'uuid' | 'text' | 'int2' | 'int8'
  readonly of: (job: NewJob) => Value
  /** Whether a job that is replaced gets it from the new one. */
  readonly isReplaced: boolean
  /** Whether it is handed out and shown. */
  readonly isShown: boolean
}

/** Beside the id, which no two jobs share. */
export const givenColumns: readonly JobColumn[] = [
  column('task', 'text', ({ task }) => task, { isReplaced: false }),
  column('queue', 'text', ({ queue }) => queue),
  column('priority', 'int2', ({ priority }) => priority),
  column('input', 'text', ({ input }) => input),
  column('codec', 'text', ({ codec }) => codec),
  column('options', 'text', ({ options }) => options),
  column('parent', 'uuid', ({ parent }) => parent, { isReplaced: false }),
  column('group_id', 'text', ({ group }) => group),
  column('labels', 'text', packLabels),
  column('keep_cancelled_ms', 'int8', (job) => job.keepCancelledMs, { isShown: false }),
]

function column(
  name: string,
  type: JobColumn['type'],
  of: JobColumn['of'],
  flags: Partial<Pick<JobColumn, 'isReplaced' | 'isShown'>> = {},
): JobColumn {
  return { name, type, of, isReplaced: true, isShown: true, ...flags }
}

/**
 * What is known of a job wherever it appears, as columns of `errand.jobs` that keep their name and
 * type.
 */
const facts: readonly Pick<JobColumn, 'name' | 'type'>[] = [
  { name: 'seq', type: 'int8' },
  { name: 'id', type: 'uuid' },
  ...givenColumns.filter(({ isShown }) => isShown),
  { name: 'unique_key', type: 'text' },
  { name: 'created_at', type: 'int8' },
  { name: 'due_at', type: 'int8' },
  { name: 'start_by', type: 'int8' },
  { name: 'deadline_at', type: 'int8' },
]

/** The facts with their types, for a type of the schema. */
export const factsDeclared: string = facts.map(({ name, type }) => `${name} ${type}`).join(', ')

/** The facts of a row of `errand.jobs` that is called `j`. */
export const factsOfJob: string = facts.map(({ name }) => `j.${name}`).join(', ')

/** Names of the columns that an insert writes, without the id. */
export const givenNames: string = givenColumns.map(({ name }) => name).join(', ')

/** What a job of the same key gives to the one that it replaces. */
export const replacedNames: readonly string[] = givenColumns
  .filter(({ isReplaced }) => isReplaced)
  .map(({ name }) => name)

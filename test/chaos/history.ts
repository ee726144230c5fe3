/** The evidence of a run, sorted by job: what the ledger tells of each, and how it lies in the store at the end. */
import { finalStates, type FinalState } from '../../src/core/job.ts'
import type { Store } from '../../src/store/store.ts'
import type { StoredJob } from '../../src/store/job.ts'
import type { Entry, Line } from './ledger.ts'
import { keyOf } from './scenario.ts'

export type Of<Kind extends Entry['kind']> = Extract<Line, { readonly kind: Kind }>

/** All that is known of one job. */
export interface Story {
  readonly id: string
  readonly record: StoredJob | null
  readonly lines: readonly Line[]
  readonly children: readonly StoredJob[]
}

/** One call of `enqueue`. */
export interface Call {
  readonly intent: Of<'intent'>
  readonly ack: Of<'ack'> | null
}

export interface History {
  readonly lines: readonly Line[]
  readonly jobs: readonly StoredJob[]
  /** By id, of every job that the store or the ledger knows. */
  readonly stories: ReadonlyMap<string, Story>
  /** By key. */
  readonly calls: ReadonlyMap<string, Call>
}

export function historyOf(lines: readonly Line[], jobs: readonly StoredJob[]): History {
  const records = new Map(jobs.map((job) => [job.id, job]))
  const byId = Map.groupBy(
    lines.filter((line) => 'id' in line),
    (line) => line.id,
  )
  const children = Map.groupBy(jobs, ({ parent }) => parent)
  const stories = new Map<string, Story>()
  for (const id of new Set([...records.keys(), ...byId.keys()])) {
    stories.set(id, {
      id,
      record: records.get(id) ?? null,
      lines: byId.get(id) ?? [],
      children: children.get(id) ?? [],
    })
  }
  const acks = new Map(linesOf(lines, 'ack').map((ack) => [ack.key, ack]))
  const calls = new Map(
    linesOf(lines, 'intent').map((intent) => [
      intent.key,
      { intent, ack: acks.get(intent.key) ?? null },
    ]),
  )
  return { lines, jobs, stories, calls }
}

/** The lines of one kind. */
export function linesOf<Kind extends Entry['kind']>(
  lines: readonly Line[],
  kind: Kind,
): readonly Of<Kind>[] {
  return lines.filter((line): line is Of<Kind> => line.kind === kind)
}

/** A settlement that a worker was told to be accepted and that ended the job. */
export type AcceptedEnd = Of<'verdict'> & { readonly decision: FinalState }

export function acceptedEnds(story: Story): readonly AcceptedEnd[] {
  return linesOf(story.lines, 'verdict').filter(
    (line): line is AcceptedEnd =>
      line.answer === 'settled' && (finalStates as readonly string[]).includes(line.decision),
  )
}

/** The key in the input of a job. */
export function keyOfJob(job: StoredJob): string {
  return keyOf(JSON.parse(job.input))
}

/** Reads all jobs of a store. */
export async function readJobs(store: Store): Promise<readonly StoredJob[]> {
  const jobs: StoredJob[] = []
  for (let after: string | null | undefined; after !== null;) {
    const page = await store.list({ limit: 500, ...(after === undefined ? {} : { after }) })
    jobs.push(...page.jobs.map(withoutBulk))
    after = page.next
  }
  return jobs
}

/** Hundreds of thousands of jobs are held at once: what no rule reads is let go. */
function withoutBulk(job: StoredJob): StoredJob {
  return { ...job, options: null, output: null, attempts: job.attempts.slice(-1) }
}

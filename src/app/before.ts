/** Jobs that run before another: `before` of a task and of a call. */
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import { ErrandError } from '../core/errors.ts'
import { followUpId } from '../core/id.ts'
import type { AnyTask } from '../core/task.ts'
import type { NewJob } from '../store/job.ts'
import type { App } from './app.ts'
import { makeJob, withNode, type TaskFacts } from './new-job.ts'

/** More tasks before each other are taken for a loop; those of one app are checked when it is made. */
const mostInARow = 20

/** What runs before a job, and where it comes from. */
interface Asked {
  readonly facts: TaskFacts
  readonly options?: EnqueueOptions | undefined
}

/**
 * The same jobs where the last of them, the one that waits for the others, has another id: theirs
 * follow from it.
 */
export function underId(jobs: readonly NewJob[], id: string): readonly NewJob[] {
  const ids = new Map<string, string>()
  for (const [n, job] of jobs.entries())
    ids.set(job.id, n === jobs.length - 1 ? id : followUpId(id, 0, `before/${n}`))
  const renamed = (old: string): string => ids.get(old) ?? old
  return jobs.map((job) => ({
    ...job,
    id: renamed(job.id),
    parent: job.parent === null ? null : renamed(job.parent),
    needs: job.needs.map((need) => ({ ...need, id: renamed(need.id) })),
    // What it needs is told there once more, for those who read the job.
    options: job.options?.replaceAll(uuids, renamed) ?? null,
  }))
}

const uuids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g

/**
 * Adds the jobs that must have ended before this one: theirs first, in the order in which they are
 * stored, the job itself last. Their ids follow from its own, so that a repeat adds nothing.
 */
export async function withBefore(
  app: App,
  job: NewJob,
  { facts, options }: Asked,
  factsOf: (task: AnyTask | string) => TaskFacts | Promise<TaskFacts>,
  inARow = 0,
): Promise<readonly NewJob[]> {
  const tasks = [...(facts.before ?? []), ...[options?.before ?? []].flat()]
  if (tasks.length === 0) return [job]
  if (inARow >= mostInARow) {
    throw new ErrandError(
      'invalid-task',
      `${facts.name} comes before ${mostInARow} others in a row, which is taken for a loop: end it.`,
    )
  }
  const onFailed = options?.onNeedFailed ?? facts.onNeedFailed ?? 'run'
  const jobs: NewJob[] = []
  const ids: string[] = []
  for (const [n, task] of tasks.entries()) {
    const found = await factsOf(task)
    const id = followUpId(job.id, 0, `before-${n}`)
    const origin = { id, parent: job.id, of: job }
    const before = makeJob(app, found, undefined, { unique: false }, origin)
    jobs.push(...(await withBefore(app, before, { facts: found }, factsOf, inARow + 1)))
    ids.push(id)
  }
  const needs = ids.map((id) => ({ kind: 'job', id, onFailed }) as const)
  const waiting = { ...job, needs: [...needs, ...job.needs] }
  return [...jobs, withNode(waiting, facts.name)]
}

/** Whether tasks run before a job: those of its task, or of its call. */
export function hasBefore({ before }: TaskFacts, options: EnqueueOptions | undefined): boolean {
  return options?.before !== undefined || (before !== undefined && before.length > 0)
}

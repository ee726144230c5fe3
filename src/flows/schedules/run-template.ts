/** The jobs of a run of a workflow as a schedule keeps them, and as a tick has them. */
import { readStoredOptions } from '../../app/new-job.ts'
import { ErrandError } from '../../core/errors.ts'
import { followUpId } from '../../core/id.ts'
import type { NewJob } from '../../store/job.ts'
import type { TickTemplate } from './stored.ts'

/** Makes the template of a run; its ids are replaced at each tick. Throws `invalid-option`. */
export function runTemplate(
  schedule: string,
  workflow: string,
  jobs: readonly NewJob[],
): TickTemplate {
  const job = jobs.at(-1)
  if (job === undefined) throw new TypeError(`nothing was made for schedule ${schedule}`)
  if (jobs.some(({ codec }) => codec !== null))
    throw new ErrandError(
      'invalid-option',
      `schedule ${schedule}: inputs of ${workflow} are written with a codec, so that a tick cannot put its own ids in them: schedule a task that starts the workflow.`,
    )
  return { job, before: jobs.slice(0, -1), workflow }
}

const uuids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g

/**
 * The jobs of a run under another id, which theirs follow from: those of nodes as `errand.start`
 * makes them, so that handlers find them by name.
 */
export function underRunId(jobs: readonly NewJob[], id: string): readonly NewJob[] {
  const old = jobs.at(-1)?.id ?? ''
  const ids = new Map([[old, id]])
  for (const [n, job] of jobs.slice(0, -1).entries()) {
    const edge = `node/${readStoredOptions(job.options)?.node?.name ?? ''}`
    const isNode = job.id === followUpId(old, 0, edge)
    ids.set(job.id, followUpId(id, 0, isNode ? edge : `before/${n}`))
  }
  // Ids stand in inputs and options as well: references, and what the end of the run sums up.
  const rename = (text: string): string => text.replaceAll(uuids, (one) => ids.get(one) ?? one)
  return jobs.map((job) => JSON.parse(rename(JSON.stringify(job))) as NewJob)
}

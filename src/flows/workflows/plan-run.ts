/** All jobs of one run of a workflow, made where nothing is stored yet. */
import { validate } from '../../app/payload.ts'
import type { Client } from '../../client/client.ts'
import type { NewJob } from '../../store/job.ts'
import { buildGraph } from './graph.ts'
import { planJobs, type RunLabels } from './plan.ts'
import type { AnyWorkflow } from './workflow.ts'

/** What a run is made from. */
export interface RunRequest {
  readonly workflow: AnyWorkflow
  readonly id: string
  readonly input: unknown
  readonly labels: Omit<RunLabels, 'group'>
}

/** Makes the jobs of a run, that at its end last. Rejects as `errand.start` does. */
export async function planRun(
  client: Client,
  { workflow, id, input: given, labels }: RunRequest,
): Promise<readonly NewJob[]> {
  const { input: schema } = workflow.flow
  const input = schema === null ? given : await validate(schema, given, 'invalid-input', 'input')
  return planJobs(client, buildGraph(workflow, id, input), { ...labels, group: id })
}

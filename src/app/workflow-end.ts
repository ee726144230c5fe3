/**
 * The job at the end of a workflow: it needs all nodes, bears the workflow's id, and comes to what the
 * workflow comes to. Every worker runs it, whatever tasks it has.
 */
import { Unrecoverable } from '../core/instructions.ts'
import { readReferences, type Ended } from '../core/references.ts'
import { task, type AnyTask } from '../core/task.ts'
import type { Needed } from '../store/job.ts'
import type { App } from './app.ts'
import { decodeAttempts } from './attempts.ts'
import { sumUp, type BatchEnd } from './batch-end.ts'
import { endedIn } from './needed-input.ts'

/** How jobs that end workflows and batches name their task. */
export const endTaskName = 'errand.workflow'
/** How their parts do: jobs that end some of the nodes each, where a job would need too many. */
export const partTaskName = 'errand.part'

/** The input of such a job, as it is stored. */
export interface EndInput {
  readonly workflow: string
  /** Name of each node with the id of its job. */
  readonly nodes: readonly (readonly [name: string, job: string])[]
  /** Names of nodes whose failure every node after them lets pass. */
  readonly mayFail: readonly string[]
  /** Ids of the parts that end the other nodes. */
  readonly parts?: readonly string[]
  /** Of a batch: its id and how many jobs end here. It comes to how these ended, whatever that is. */
  readonly batch?: { readonly id: string; readonly total: number }
  /** With references; left out where the workflow has no output. */
  readonly output?: unknown
}

/** What its handler is handed. */
type Summary =
  | { readonly output: unknown }
  | { readonly problem: string }
  | { readonly workflow: string; readonly parts: number; readonly failedParts: readonly string[] }

/** Whether a job ends others: a run, a workflow within it, or a part of either. */
export function isEndTask(name: string): boolean {
  return name === endTaskName || name === partTaskName
}

/** The tasks of such jobs, for the workers of an app. */
export function endTasks(app: App): readonly AnyTask[] {
  const run = (input: Summary): Promise<unknown> => end(app, input)
  return [task({ name: endTaskName, run }), task({ name: partTaskName, run })]
}

/** How many nodes, or parts, an error names. */
const named = 5

/** Sums up how the nodes ended. */
export function summarise(app: App, input: EndInput, needed: Needed): Summary {
  const endedAs = endedIn(app, needed)
  if (input.batch !== undefined) return { output: batchEnd(input, input.batch, endedAs) }
  const { workflow, parts = [] } = input
  const failedParts = parts.filter((part) => endedAs(part).state !== 'completed')
  if (failedParts.length > 0) return { workflow, parts: parts.length, failedParts }
  const tolerated = new Set(input.mayFail)
  const known = new Set([...input.nodes.map(([, job]) => job), ...parts])
  const added = typeof needed === 'string' ? [] : needed.filter(({ id }) => !known.has(id))
  const all = [...input.nodes, ...added.map(({ id }) => [`an added node ${id}`, id] as const)]
  const failed = all
    .map(([name, job]) => ({ name, ended: endedAs(job) }))
    .filter(({ name, ended }) => ended.state !== 'completed' && !tolerated.has(name))
  if (failed.length > 0) return { problem: problemOf(workflow, all.length, failed) }
  if (!('output' in input)) return { output: null }
  return { output: readReferences(input.output, endedAs) }
}

function problemOf(
  workflow: string,
  nodes: number,
  failed: readonly { readonly name: string; readonly ended: Ended }[],
): string {
  // Those that were cancelled for another's failure come last.
  const order = failed.toSorted(
    (a, b) => Number(a.ended.state === 'cancelled') - Number(b.ended.state === 'cancelled'),
  )
  const words = order.slice(0, named).map(({ name, ended }) => `${name} (${ended.state})`)
  const more = failed.length > named ? `, and ${failed.length - named} more` : ''
  return `${failed.length} of ${nodes} nodes of ${workflow} did not complete: ${words.join(', ')}${more}.`
}

async function end(app: App, input: Summary): Promise<unknown> {
  if ('output' in input) return input.output
  throw new Unrecoverable('problem' in input ? input.problem : await partProblem(app, input))
}

/** Parts that failed say themselves what was wrong in them; some are named, as nodes would be. */
async function partProblem(
  app: App,
  { workflow, parts, failedParts }: Extract<Summary, { readonly parts: number }>,
): Promise<string> {
  const found = await app.store.get(failedParts.slice(0, named))
  const told = found.flatMap((part) => {
    const last = part && decodeAttempts(app, part.attempts, part.codec).at(-1)?.error
    return last ? [last.message] : []
  })
  const where = `Nodes of ${workflow} did not complete, in ${failedParts.length} of its ${parts} parts`
  if (told.length === 0) return `${where}.`
  const more = failedParts.length > told.length ? ' And so on.' : ''
  return `${where}: ${told.join(' ')}${more}`
}

function batchEnd(
  { nodes, parts = [] }: EndInput,
  batch: { readonly id: string; readonly total: number },
  endedAs: (job: string) => Ended,
): BatchEnd {
  const outputs = parts.flatMap((part) => {
    const ended = endedAs(part)
    return 'output' in ended ? [ended.output as BatchEnd] : []
  })
  return sumUp(
    batch,
    nodes.map(([, job]) => endedAs(job).state),
    outputs,
  )
}

/** From the nodes of a run to its jobs. */
import { bareFacts, makeJob, withNode } from '../../app/new-job.ts'
import { endTaskName, partTaskName, type EndInput } from '../../app/workflow-end.ts'
import type { Client } from '../../client/client.ts'
import { ErrandError } from '../../core/errors.ts'
import type { Labels } from '../../core/labels.ts'
import type { Need, NewJob } from '../../store/job.ts'
import type { Edge, EndNode, GraphNode, PartNode, TaskNode } from './graph.ts'
import { withParts } from './parts.ts'

/** What all jobs of a run share. */
export interface RunLabels extends Pick<Labels, 'tags' | 'headers'> {
  readonly group: string
}

/** Makes the jobs, in the order of the nodes. Rejects as `enqueue` does, naming the node. */
export async function planJobs(
  client: Client,
  nodes: readonly GraphNode[],
  labels: RunLabels,
): Promise<readonly NewJob[]> {
  const jobs: NewJob[] = []
  const mayFail = tolerated(nodes)
  for (const node of withParts(labels.group, nodes)) {
    if (node.kind !== 'task') {
      jobs.push(endJob(client, node, labels, { mayFail, firstQueue: jobs[0]?.queue }))
      continue
    }
    jobs.push(...(await nodeJobs(client, node, labels)))
  }
  return jobs
}

/** Makes the job of a node, which comes last, with those that run before it. */
export async function nodeJobs(
  client: Client,
  node: TaskNode,
  labels: RunLabels,
  where: string = `node ${node.name}`,
): Promise<readonly NewJob[]> {
  const made = await taskJobs(client, node, labels, where)
  const needs = [...node.needs].map(([id, edge]) => needOf(id, edge))
  return made.map((job, n) =>
    n < made.length - 1 ? job : withNode({ ...job, needs: [...job.needs, ...needs] }, node.name),
  )
}

/** The same without needs and name. Rejects as `enqueue` does; the error begins with `where`. */
export async function taskJobs(
  client: Client,
  node: Pick<TaskNode, 'id' | 'task' | 'input' | 'hasReferences' | 'options'>,
  labels: RunLabels,
  where: string,
): Promise<readonly NewJob[]> {
  const { task, input, hasReferences, options } = node
  try {
    const facts = await client.taskFacts(task)
    const { unique = facts.unique ?? false } = options
    if (unique !== null && unique !== false) {
      throw new ErrandError(
        'invalid-option',
        `${facts.name} is unique, and a job of a workflow or batch cannot be: pass unique: false.`,
      )
    }
    const { group, headers, tags = [] } = labels
    const call = { ...options, unique: false, tags: [...tags, ...(options.tags ?? [])] }
    const of = { group, headers: headers ?? {} }
    const origin = { id: node.id, of, ...(hasReferences ? { unchecked: true } : {}) }
    return await client.prepareAll(task, input, call, origin)
  } catch (error) {
    if (!(error instanceof ErrandError)) throw error
    const { code, details } = error
    throw new ErrandError(code, `${where}: ${error.message}`, { cause: error, details })
  }
}

/** Makes the job of an end, or of a part of one. */
export function endJob(
  client: Client,
  node: EndNode | PartNode,
  labels: RunLabels,
  run: { readonly mayFail: ReadonlySet<string>; readonly firstQueue: string | undefined },
): NewJob {
  const { group, headers = {}, tags = [] } = labels
  const { kind, name, id, workflow, members, parts, batch, output } = node
  const passes = (one: string): boolean =>
    (kind === 'part' && node.isTolerant) || run.mayFail.has(one)
  const input: EndInput = {
    workflow,
    nodes: members.map((one) => [one.name, one.id] as const),
    mayFail: members.filter((one) => passes(one.id)).map((one) => one.name),
    ...(parts && { parts }),
    ...(batch && { batch }),
    ...(output === undefined ? {} : { output }),
  }
  const bare = bareFacts(kind === 'part' ? partTaskName : endTaskName)
  const facts = { ...bare, queue: node.queue ?? run.firstQueue ?? 'default' }
  const job = makeJob(client.app, facts, input, { tags }, { id, of: { group, headers } })
  const needs = [...node.needs].map(([need, edge]) => needOf(need, edge))
  // It ends with its nodes, whatever the app says of how long jobs may take.
  const whole = { ...job, needs, startWithinMs: null, deadlineMs: null }
  return withNode(whole, name)
}

/** Nodes without which all that need them go on. */
function tolerated(nodes: readonly GraphNode[]): ReadonlySet<string> {
  const every = new Map<string, boolean>()
  for (const node of nodes) {
    if (node.kind === 'end') continue
    for (const [id, { onFailed }] of node.needs)
      every.set(id, (every.get(id) ?? true) && onFailed === 'run')
  }
  return new Set([...every].flatMap(([id, goesOn]) => (goesOn ? [id] : [])))
}

function needOf(id: string, { onFailed, isHanded }: Edge): Need {
  return { kind: 'job', id, onFailed, output: isHanded ? 'hand' : 'keep' }
}

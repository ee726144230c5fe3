/** Runs of workflows: starting them, and looking after them by one id. */
import type { App } from '../../app/app.ts'
import type { Produced } from '../../observe/tracing.ts'
import { jsonSchemaOf } from '../../app/json-schema-of.ts'
import { readStoredOptions } from '../../app/new-job.ts'
import { newId } from '../../app/new-id.ts'
import { validate } from '../../app/payload.ts'
import type { BatchEnd } from '../../app/batch-end.ts'
import { isHiddenTask } from '../../app/built-in-tasks.ts'
import { endTaskName, partTaskName } from '../../app/workflow-end.ts'
import type { Client } from '../../client/client.ts'
import type { ResultOptions } from '../../client/enqueued-job.ts'
import type { Jobs } from '../../client/jobs.ts'
import { ErrandError } from '../../core/errors.ts'
import { isJobId } from '../../core/id.ts'
import { finalStates, isFinal, jobStates, type JobState } from '../../core/job.ts'
import type { Labels } from '../../core/labels.ts'
import { nearest } from '../../core/nearest.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { shownValue } from '../../core/shown.ts'
import type { AnyTask } from '../../core/task.ts'
import type { StoredJob } from '../../store/job.ts'
import { batchJobs, callbackId, checkBatch, type BatchEntries, type BatchOptions } from './batch.ts'
import { batchCounts, readEnd } from './batch-status.ts'
import { buildGraph } from './graph.ts'
import { planJobs } from './plan.ts'
import { failedOf, retryFailed, type Failed } from './retry-run.ts'
import { storeRun } from './store-run.ts'
import { isWorkflow, type AnyWorkflow, type OnNeedFailed } from './workflow.ts'

/** Options of one start. */
export interface StartOptions extends Pick<Labels, 'tags' | 'headers'> {
  /** A UUID in lower case, so that a repeated start adds nothing while the run is known. Default: a new one. */
  readonly id?: string
  /** The caller's own transaction, on SQL stores. */
  readonly tx?: unknown
}

/** A run that was started. */
export interface WorkflowRun<Output = unknown> {
  readonly id: string
  /** Waits for the end, at most `timeout` (30 s), and returns the output. Rejects as the result of a job does. */
  result(options?: Omit<ResultOptions, 'take'>): Promise<Output>
  status(): Promise<WorkflowStatus | null>
  cancel(reason?: string): Promise<number>
  retry(): Promise<number>
}

/** How a run stands. */
export interface WorkflowStatus {
  readonly id: string
  /** The name of the workflow, or of the batch. */
  readonly workflow: string
  /** How many jobs the batch has; null for a workflow. */
  readonly total: number | null
  /** That of the job at its end: `blocked` while nodes are to end. */
  readonly state: JobState
  readonly reason: string | null
  readonly createdAt: Date
  readonly finishedAt: Date | null
  /**
   * How many jobs of the run are known in each state, the one at its end not counted. They are read
   * for that: of a run that has grown beyond 20,000 jobs only the newest are counted. Of a batch, those that parts of it
   * which have ended have counted, and those of ten parts that have not: the rest of `total` was not looked at.
   */
  readonly counts: Readonly<Partial<Record<JobState, number>>>
}

/** A node of a run with what it needs. */
export interface WorkflowNode {
  readonly id: string
  readonly name: string
  readonly task: string
  readonly state: JobState
  readonly reason: string | null
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  readonly needs: readonly { readonly id: string; readonly onFailed: OnNeedFailed }[]
  /** Whether it ends the run, or a workflow within it. */
  readonly isEnd: boolean
}

/** A workflow for those who do not have its code. */
export interface WorkflowAbout {
  readonly name: string
  /** A JSON Schema of draft 2020-12; null where the workflow takes anything, or its schema library gives none. */
  readonly inputSchema: unknown
}

/** `errand.workflows`: runs by id. */
export interface Workflows {
  /** Names of the workflows that the app was made with. */
  readonly names: readonly string[]
  /** Finds one of them. Throws `unknown-task`, naming the nearest. */
  find(name: string): AnyWorkflow
  /** What a start by name takes, for forms and checks elsewhere, in the order of `names`. */
  describe(): readonly WorkflowAbout[]
  /** Null when the run is unknown. */
  get(id: string): Promise<WorkflowStatus | null>
  /** The nodes, in the order in which they were added; those that are beyond their retention are left out. */
  nodes(id: string): Promise<readonly WorkflowNode[]>
  /** Newest first. `limit` default 20. Without counts. */
  list(options?: { readonly limit?: number; readonly after?: string }): Promise<{
    readonly runs: readonly Omit<WorkflowStatus, 'counts'>[]
    readonly next: string | null
  }>
  result(id: string, options?: Omit<ResultOptions, 'take'>): Promise<unknown>
  /** Ends the run: cancels what waits, asks what runs to end. Returns how many jobs that were. */
  cancel(id: string, reason?: string): Promise<number>
  /** Runs what failed, was cancelled or discarded once more, each after what it needs. Returns how many jobs that are. */
  retry(id: string): Promise<number>
}

/** A batch that was started. */
export interface BatchRun extends Omit<WorkflowRun<BatchEnd>, 'retry' | 'cancel'> {
  /** Cancels its jobs that wait and asks those that run to end. The batch ends when all have, and its callback runs. */
  cancel(reason?: string): Promise<number>
}

/** Starts a batch. */
export type StartBatch = <T extends AnyTask>(
  entries: BatchEntries,
  options?: BatchOptions<T>,
) => Promise<BatchRun>

/** Starts a workflow. */
export type Start = <Input, Output>(
  workflow: {
    readonly name: string
    readonly types?: { readonly input: (input: Input) => void; readonly output: Output }
  },
  ...rest: undefined extends Input
    ? [input?: Input, options?: StartOptions]
    : [input: Input, options?: StartOptions]
) => Promise<WorkflowRun<Output>>

const page = 500
const mostCounted = 20_000

/** Makes `errand.start` and `errand.workflows`. */
export function createWorkflows(
  client: Client,
  jobs: Jobs,
  defined: readonly AnyWorkflow[],
): { readonly start: Start; readonly batch: StartBatch; readonly workflows: Workflows } {
  const { app } = client
  const byName = collect(defined)
  let described: readonly WorkflowAbout[] | null = null
  const workflows: Workflows = {
    names: [...byName.keys()],
    find(name) {
      const found = byName.get(name)
      if (found !== undefined) return found
      const meant = nearest(name, byName.keys())
      const hint = meant === null ? 'Add it to `workflows`.' : `Did you mean ${meant}?`
      throw new ErrandError('unknown-task', `No workflow is called ${name}. ${hint}`)
    },
    describe: () => (described ??= [...byName.values()].map(aboutOf)),
    async get(id) {
      const [end] = await client.call((store) => store.get([readId(id)]))
      if (!end || end.task !== endTaskName) return null
      if (readEnd(app, end)?.batch !== undefined)
        return { ...statusOf(app, end), counts: await batchCounts(client, end) }
      const counts: Partial<Record<JobState, number>> = {}
      let counted = 0
      for await (const job of jobsOf(client, id)) {
        if (job.id !== id && !isHiddenTask(job.task))
          counts[job.state] = (counts[job.state] ?? 0) + 1
        if ((counted += 1) > mostCounted) break
      }
      return { ...statusOf(app, end), counts }
    },
    async nodes(id) {
      const nodes: WorkflowNode[] = []
      const parts = new Map<string, readonly string[]>()
      for await (const job of jobsOf(client, readId(id))) {
        if (!isHiddenTask(job.task)) nodes.push(nodeOf(job))
        else if (job.task === partTaskName)
          parts.set(job.id, readEnd(app, job)?.nodes.map(([, node]) => node) ?? [])
      }
      return nodes.reverse().map((node) => ({
        ...node,
        needs: node.needs.flatMap(({ id: need, onFailed }) =>
          (parts.get(need) ?? [need]).map((one) => ({ id: one, onFailed })),
        ),
      }))
    },
    async list({ limit = 20, after, ...others } = {}) {
      refuseUnknownKeys(others, ['limit', 'after'], 'workflows.list()')
      const cursor = after === undefined ? {} : { after }
      const query = { tasks: [endTaskName], limit, ...cursor }
      const { jobs: ends, next } = await client.call((store) => store.list(query))
      const runs = ends.filter(({ id, group }) => id === group)
      return { runs: runs.map((end) => statusOf(app, end)), next }
    },
    result: (id, options) => jobs.result(id, options),
    async cancel(id, reason) {
      const [end] = await client.call((store) => store.get([readId(id)]))
      const isBatch = end?.task === endTaskName && readEnd(app, end)?.batch !== undefined
      return cancelRun(client, id, reason ?? null, isBatch)
    },
    retry: (id) => retryRun(client, readId(id)),
  }

  const runOf = (id: string): WorkflowRun<never> => ({
    id,
    result: (options) => jobs.result(id, options) as Promise<never>,
    status: () => workflows.get(id),
    cancel: (reason) => workflows.cancel(id, reason),
    retry: () => workflows.retry(id),
  })

  const start = async (
    workflow: unknown,
    given?: unknown,
    options: StartOptions = {},
  ): Promise<WorkflowRun<never>> => {
    const flow = typeof workflow === 'string' ? workflows.find(workflow) : workflow
    if (!isWorkflow(flow))
      throw new ErrandError('invalid-option', 'start() takes a workflow or the name of one.')
    refuseUnknownKeys(options, ['id', 'tx', 'tags', 'headers'], 'start()')
    const { id = newId(), tx, tags, headers } = options
    readId(id)
    if (options.id !== undefined && (await client.call((store) => store.get([id])))[0])
      return runOf(id)
    const { input: schema } = flow.flow
    const input = schema === null ? given : await validate(schema, given, 'invalid-input', 'input')
    await traced(client, { count: null, headers }, async (linked) => {
      const labels = { group: id, ...(tags && { tags }), ...(linked && { headers: linked }) }
      const planned = await planJobs(client, buildGraph(flow, id, input), labels)
      await storeRun(client, labels, planned, tx)
    })
    return runOf(id)
  }

  const batch = async (entries: BatchEntries, options: BatchOptions = {}): Promise<BatchRun> => {
    checkBatch(entries, options)
    const { id = newId(), tx, tags, headers } = options
    readId(id)
    const run = runOf(id)
    if (options.id !== undefined && (await client.call((store) => store.get([id])))[0]) return run
    await traced(client, { count: null, headers }, async (linked) => {
      const labels = { group: id, ...(tags && { tags }), ...(linked && { headers: linked }) }
      await storeRun(client, labels, batchJobs(client, entries, options, labels), tx)
    })
    return run
  }
  return { start, batch, workflows }
}

/** Stores a run, in the trace of the call if somebody traces. */
function traced(
  { app }: Client,
  what: Pick<Produced, 'count' | 'headers'>,
  store: (headers: Produced['headers']) => Promise<void>,
): Promise<void> {
  const { tracing } = app.events
  if (tracing === null) return store(what.headers)
  return tracing.produce({ task: null, queue: null, ...what }, store)
}

function aboutOf({ name, flow }: AnyWorkflow): WorkflowAbout {
  const schema = jsonSchemaOf(flow.input, 'input')
  return {
    name,
    inputSchema: typeof schema === 'string' ? (JSON.parse(schema) as unknown) : null,
  }
}

function collect(defined: readonly AnyWorkflow[]): ReadonlyMap<string, AnyWorkflow> {
  const byName = new Map<string, AnyWorkflow>()
  for (const one of defined) {
    if (!isWorkflow(one))
      throw new ErrandError(
        'invalid-option',
        `createErrand().workflows takes what workflow() returns, not ${shownValue(one)}.`,
      )
    const other = byName.get(one.name)
    if (other !== undefined && other !== one)
      throw new ErrandError('duplicate-task', `Two workflows are called ${one.name}. Rename one.`)
    byName.set(one.name, one)
  }
  return byName
}

function readId(id: string): string {
  if (isJobId(id)) return id
  throw new ErrandError('invalid-option', `${shownValue(id)} is no id of a run: a UUID is one.`)
}

/** The jobs of a run, newest first, page by page. */
async function* jobsOf(
  client: Client,
  group: string,
  states?: readonly JobState[],
): AsyncGenerator<StoredJob> {
  let after: string | null = null
  do {
    const cursor: { after?: string } = after === null ? {} : { after }
    const query = { group, limit: page, ...cursor, ...(states && { states }) }
    const found = await client.call((store) => store.list(query))
    yield* found.jobs
    after = found.next
  } while (after !== null)
}

/**
 * The end first, so that what ends for it does not look like a failure of nodes. A batch ends when its jobs have, so of it
 * these alone are cancelled.
 */
async function cancelRun(
  client: Client,
  id: string,
  reason: string | null,
  isBatch: boolean,
): Promise<number> {
  const ids = isBatch ? [] : [id]
  const open = jobStates.filter((state) => !isFinal(state))
  const goesOn = isBatch ? new Set([id, callbackId(id)]) : new Set([id])
  for await (const job of jobsOf(client, id, open))
    if (!goesOn.has(job.id) && !(isBatch && isHiddenTask(job.task))) ids.push(job.id)
  let cancelled = 0
  for (let from = 0; from < ids.length; from += page) {
    const some = ids.slice(from, from + page)
    const answers = await client.call((store) => store.cancel(some, reason))
    cancelled += answers.filter((answer) => answer === 'cancelled' || answer === 'asked').length
  }
  return cancelled
}

async function retryRun(client: Client, id: string): Promise<number> {
  const failed: Failed[] = []
  const ended = finalStates.filter((state) => state !== 'completed')
  for await (const job of jobsOf(client, id, ended)) failed.push(failedOf(job))
  return retryFailed((call) => client.call(call), failed.reverse())
}

function statusOf(app: App, end: StoredJob): Omit<WorkflowStatus, 'counts'> {
  const { id, state, reason, createdAt, finishedAt } = end
  const input = readEnd(app, end)
  return {
    id,
    workflow: input?.workflow ?? '(unreadable)',
    total: input?.batch?.total ?? null,
    state,
    reason,
    createdAt: new Date(createdAt),
    finishedAt: finishedAt === null ? null : new Date(finishedAt),
  }
}

function nodeOf(job: StoredJob): WorkflowNode {
  const { id, task, state, reason, startedAt, finishedAt } = job
  const node = readStoredOptions(job.options)?.node
  return {
    id,
    name: node?.name ?? id,
    task,
    state,
    reason,
    startedAt: startedAt === null ? null : new Date(startedAt),
    finishedAt: finishedAt === null ? null : new Date(finishedAt),
    needs: (node?.needs ?? []).map(([need, onFailed]) => ({ id: need, onFailed })),
    isEnd: task === endTaskName,
  }
}

/** Runs of workflows. Their jobs may lie in any queue, so they are for callers who may touch all of them. */
import { isJobId } from '../../core/id.ts'
import { Problem } from '../problem.ts'
import { checkAllQueues, textOf } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import {
  afterParameter,
  count,
  countsSchema,
  flag,
  idSchema,
  limitParameter,
  list,
  object,
  problemAnswer,
  stateSchema,
  text,
  textOrNull,
  time,
  timeOrNull,
} from '../schemas.ts'
import { tracedHeaders } from '../trace.ts'

const runFacts = {
  id: idSchema,
  workflow: text,
  total: { type: ['integer', 'null'], minimum: 0 },
  state: stateSchema,
  reason: textOrNull,
  createdAt: time,
  finishedAt: timeOrNull,
}

const nodeSchema = object({
  id: idSchema,
  name: text,
  task: text,
  state: stateSchema,
  reason: textOrNull,
  startedAt: timeOrNull,
  finishedAt: timeOrNull,
  needs: list(object({ id: idSchema, onFailed: { enum: ['cancel', 'fail', 'run'] } })),
  isEnd: flag,
})

const noRun = problemAnswer('No such run.')

export const workflowRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/workflows',
    id: 'listWorkflows',
    summary: 'See the workflows that can be started here, and runs, the newest first.',
    tag: 'workflows',
    scopes: ['read'],
    query: { limit: limitParameter, after: afterParameter },
    answers: {
      200: {
        description: 'A page.',
        schema: object({ names: list(text), runs: list(object(runFacts)), next: textOrNull }),
      },
    },
    async handle({ errand, caller, query }) {
      checkAllQueues(caller)
      const after = textOf(query, 'after')
      const page = await errand.workflows.list({
        limit: (query['limit'] as number | undefined) ?? 100,
        ...(after === undefined ? {} : { after }),
      })
      return json({ names: errand.workflows.names, ...page })
    },
  },
  {
    method: 'POST',
    path: '/v1/workflows',
    id: 'startWorkflow',
    summary: 'Start a workflow that the manager knows. With an `id` of your own, once.',
    tag: 'workflows',
    scopes: ['enqueue'],
    body: object(
      {
        workflow: text,
        input: {},
        id: idSchema,
        tags: list(text),
        headers: { type: 'object', additionalProperties: { type: 'string' } },
      },
      ['input', 'id', 'tags', 'headers'],
    ),
    answers: {
      201: {
        description: 'It has started; its output is the result of the job of the same id.',
        schema: object({ id: idSchema }),
      },
      404: problemAnswer('No such workflow.'),
      422: problemAnswer('The input does not fit the workflow.'),
    },
    async handle({ errand, caller, body, request }) {
      checkAllQueues(caller)
      const { workflow, input, headers, ...options } = body as StartBody
      const found = errand.workflows.find(workflow)
      const run = await errand.start(found, input, {
        ...options,
        ...tracedHeaders(request, headers),
      })
      return json({ id: run.id }, 201, { location: `/v1/workflows/${run.id}` })
    },
  },
  {
    method: 'GET',
    path: '/v1/workflows/definitions',
    id: 'listWorkflowDefinitions',
    summary: 'See what the workflows that can be started here take.',
    tag: 'workflows',
    scopes: ['read', 'enqueue'],
    answers: {
      200: {
        description:
          '`inputSchema` is a JSON Schema; null where the workflow takes anything, or its schema library gives none.',
        schema: object({
          workflows: list(
            object({ name: text, inputSchema: { type: ['object', 'boolean', 'null'] } }),
          ),
        }),
      },
    },
    handle({ errand, caller }) {
      checkAllQueues(caller)
      return json({ workflows: errand.workflows.describe() })
    },
  },
  {
    method: 'GET',
    path: '/v1/workflows/{id}',
    id: 'getWorkflow',
    summary: 'See one run with its nodes.',
    tag: 'workflows',
    scopes: ['read'],
    answers: {
      200: {
        description:
          'The run. `counts` are of its jobs by state. A batch has `total` jobs, and no nodes.',
        schema: object({
          ...runFacts,
          counts: countsSchema,
          nodes: list(nodeSchema),
        }),
      },
      404: noRun,
    },
    async handle(call) {
      const id = readRunId(call)
      const run = await call.errand.workflows.get(id)
      if (run === null) throw missingRun()
      const nodes = run.total === null ? await call.errand.workflows.nodes(id) : []
      return json({ ...run, nodes })
    },
  },
  verb('cancel', 'End a run: cancel what waits, ask what runs to end.'),
  verb('retry', 'Run once more what failed, was cancelled or discarded.'),
]

interface StartBody {
  readonly workflow: string
  readonly input?: unknown
  readonly id?: string
  readonly tags?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

function verb(name: 'cancel' | 'retry', summary: string): Route {
  return {
    method: 'POST',
    path: `/v1/workflows/{id}/${name}`,
    id: `${name}Workflow`,
    summary,
    tag: 'workflows',
    scopes: ['operate'],
    ...(name === 'cancel' ? { body: object({ reason: text }, ['reason']) } : {}),
    answers: {
      200: { description: 'How many jobs that were.', schema: object({ jobs: count }) },
      404: noRun,
    },
    async handle(call) {
      const id = readRunId(call)
      const { workflows } = call.errand
      if ((await workflows.get(id)) === null) throw missingRun()
      const { reason } = (call.body ?? {}) as { readonly reason?: string }
      return json({
        jobs: name === 'cancel' ? await workflows.cancel(id, reason) : await workflows.retry(id),
      })
    },
  }
}

function readRunId({ caller, params }: RouteCall): string {
  checkAllQueues(caller)
  const { id = '' } = params
  if (isJobId(id)) return id
  throw missingRun()
}

function missingRun(): Problem {
  return new Problem(
    'not-found',
    'No run of a workflow has this id, or it is beyond its retention.',
  )
}

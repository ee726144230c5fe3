/**
 * The OpenAPI document: a pure function of the routes and of what the tasks registry says. Each task stands under a literal path of
 * its own for each of its queues, made from the route that takes jobs of any task.
 */
import type { TaskNotes } from '../../app/registered-tasks.ts'
import { version } from '../../core/version.ts'
import type { Answer, JsonSchema, Route } from '../route.ts'
import { uniqueNames } from './names.ts'
import { addSchema, refTo, type Components } from './schemas.ts'

/** The route of jobs of any task; those of each task are made from it. */
const taskPath = '/v1/queues/{queue}/tasks/{task}/jobs'
/** The calls of workers are a protocol with a page of its own, not for generated clients. */
const workersPath = '/v1/store/'

export interface DocumentParts {
  readonly routes: readonly Route[]
  /** By name; schemas that are none have been left out. */
  readonly tasks: readonly TaskNotes[]
  /** Where the paths begin, such as `/` or `/api/errand`. */
  readonly server: string
}

type Json = Readonly<Record<string, unknown>>

/** Makes the document. */
export function openApi({ routes, tasks, server }: DocumentParts): Json {
  const shown = routes.filter(({ path }) => !path.startsWith(workersPath))
  const components: Components = new Map([['Problem', problem]])
  const paths: Record<string, Record<string, Json>> = {}
  const put = (path: string, method: string, operation: Json): void => {
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation }
  }
  const ofTasks = shown.find(({ path, method }) => path === taskPath && method === 'POST')
  if (ofTasks !== undefined)
    for (const operation of taskOperations(ofTasks, tasks, shown, components))
      put(operation.path, 'POST', operation.json)
  for (const route of shown) put(route.path, route.method, operationOf(route, components))
  const tags = tagsOf(paths)
  return {
    openapi: '3.1.1',
    info: { title: 'Errand', version, description },
    servers: [{ url: server }],
    tags: tags.map((name) => ({ name, description: tagText(name, tasks) })),
    paths,
    components: {
      schemas: Object.fromEntries(components),
      responses: { Problem: { description: 'A problem (RFC 9457).', content: problemContent } },
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token of `errand tokens create`; its scopes say what it may do.',
        },
      },
    },
  }
}

const description =
  'Background jobs over HTTP. Each task that a worker has registered has a path of its own, which takes its input as the body. ' +
  'While no token exists, callers on the same machine need none.'

const problem: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable: match on this.' },
    detail: { type: 'string', description: 'What to do, for people.' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: { detail: { type: 'string' }, pointer: { type: 'string' } },
      },
    },
    details: { type: 'object' },
  },
}
const problemContent = { 'application/problem+json': { schema: refTo('Problem') } }
const anyProblem = { $ref: '#/components/responses/Problem' }

function operationOf(route: Route, components: Components): Json {
  const { body } = route
  return {
    operationId: route.id,
    summary: route.summary,
    tags: [route.tag],
    security: securityOf(route),
    ...parametersOf(route, route.path),
    ...(body === undefined
      ? {}
      : { requestBody: bodyOf(named(body, components), { isRequired: needsBody(body) }) }),
    responses: answersOf(route.answers, (schema) => named(schema, components)),
  }
}

/** A schema with a `title` of one word, such as `Job`, is written once, under that name. */
function named(schema: JsonSchema, components: Components): JsonSchema {
  const { title } = schema
  if (typeof title !== 'string' || !/^[A-Z][A-Za-z0-9]*$/.test(title)) return schema
  const { title: _, ...rest } = schema
  components.set(title, rest)
  return refTo(title)
}

interface TaskOperation {
  readonly path: string
  readonly json: Json
}

function* taskOperations(
  route: Route,
  tasks: readonly TaskNotes[],
  shown: readonly Route[],
  components: Components,
): Generator<TaskOperation> {
  const ways = tasks.flatMap((task) =>
    task.queues
      .filter((queue) => isReachable(queue) && isReachable(task.name))
      .map((queue, index) => ({
        task,
        queue,
        isFirst: index === 0,
        path: pathOf(queue, task.name),
      })),
  )
  const ids = uniqueNames(
    ways.map(({ task, queue, isFirst, path }) => ({
      key: path,
      prefix: 'enqueue',
      words: isFirst ? task.name : `${task.name} on ${queue}`,
    })),
    shown.map(({ id }) => id),
  )
  const schemaNames = uniqueNames(
    tasks.flatMap(({ name }) =>
      ['Input', 'Output'].map((suffix) => ({
        key: `${name}/${suffix}`,
        prefix: '',
        words: name,
        suffix,
      })),
    ),
    [...components.keys(), ...shown.flatMap(titlesOf)],
  )
  // Their definitions take other names.
  const showsOutput = Object.values(route.answers).some(({ schema }) => hasOutput(schema))
  const shownSchemas = (task: TaskNotes) =>
    [
      ['Input', task.inputSchema],
      ['Output', showsOutput ? task.outputSchema : null],
    ] as const
  for (const task of tasks)
    for (const [suffix, schema] of shownSchemas(task))
      if (schema !== null) components.set(schemaNames.get(`${task.name}/${suffix}`) ?? suffix, {})
  const schemas = new Map(
    tasks.map((task) => {
      const [input, output] = shownSchemas(task).map(([suffix, schema]) =>
        schema === null
          ? null
          : addSchema(components, schemaNames.get(`${task.name}/${suffix}`) ?? suffix, schema),
      )
      return [task, { input, output }]
    }),
  )
  for (const { task, queue, isFirst, path } of ways) {
    const { input = null, output = null } = schemas.get(task) ?? {}
    yield {
      path,
      json: {
        operationId: ids.get(path),
        summary: `Add a job of the task ${task.name}${isFirst ? '' : ` to the queue ${queue}`}.`,
        ...(task.description === null ? {} : { description: task.description }),
        tags: [...new Set([queue, ...task.tags])],
        security: securityOf(route),
        ...parametersOf(route, ''),
        requestBody: bodyOf(input ?? {}, { isRequired: input !== null, examples: task.examples }),
        responses: answersOf(route.answers, (schema) => withOutput(schema, output)),
        'x-errand-task': task.name,
        'x-errand-queue': queue,
      },
    }
  }
}

/** A segment of dots means another path to every client. */
function isReachable(name: string): boolean {
  return name !== '.' && name !== '..'
}

function pathOf(queue: string, task: string): string {
  return taskPath
    .replace('{queue}', () => encodeURIComponent(queue))
    .replace('{task}', () => encodeURIComponent(task))
}

function titlesOf({ answers, body }: Route): readonly string[] {
  const schemas = [body, ...Object.values(answers).map(({ schema }) => schema)]
  return schemas.flatMap((schema) =>
    typeof schema?.['title'] === 'string' ? [schema['title']] : [],
  )
}

/** The answer with the output, where there is one, described as the task's. */
function withOutput(schema: JsonSchema, output: JsonSchema | null): JsonSchema {
  if (output === null || !hasOutput(schema)) return schema
  return { ...schema, properties: { ...(schema['properties'] as object), output } }
}

function hasOutput(schema: JsonSchema | undefined): boolean {
  const properties = schema?.['properties'] as Readonly<Record<string, JsonSchema>> | undefined
  return properties?.['output'] !== undefined
}

function securityOf({ scopes }: Route): readonly Json[] {
  return scopes.map((scope) => ({ bearer: [scope] }))
}

const pathParameters: Readonly<Record<string, string>> = {
  id: 'The id of the job.',
  queue: 'The name of the queue, percent-encoded.',
  task: 'The name of the task, percent-encoded.',
}

/** With an empty path, those of the query and the headers only. */
function parametersOf(route: Route, path: string): Json {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: pathParameters[name] ?? `The ${name}.`,
    schema: { type: 'string' },
  }))
  const inQuery = Object.entries(route.query ?? {}).map(([name, parameter]) => ({
    name,
    in: 'query',
    description: parameter.description,
    schema: parameter.schema,
  }))
  const inHeaders = route.path === taskPath ? [idempotencyKey] : []
  const parameters = [...inPath, ...inQuery, ...inHeaders]
  return parameters.length === 0 ? {} : { parameters }
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'A request that is sent again with the same key within 24 hours adds no second job.',
  schema: { type: 'string' },
}

function needsBody(schema: JsonSchema): boolean {
  const ways = schema['oneOf'] as readonly JsonSchema[] | undefined
  if (ways !== undefined) return ways.every(needsBody)
  const required = schema['required'] as readonly string[] | undefined
  return schema['type'] === 'array' || (required?.length ?? 0) > 0
}

function bodyOf(
  schema: JsonSchema,
  {
    isRequired,
    examples = [],
  }: { readonly isRequired: boolean; readonly examples?: readonly unknown[] },
): Json {
  const shown = examples.map((value, index) => [`example${index + 1}`, { value }] as const)
  return {
    required: isRequired,
    content: {
      'application/json': {
        schema,
        ...(shown.length === 0 ? {} : { examples: Object.fromEntries(shown) }),
      },
    },
  }
}

function answersOf(
  answers: Readonly<Record<number, Answer>>,
  schemaOf: (schema: JsonSchema) => JsonSchema,
): Json {
  const own = Object.entries(answers).map(([status, answer]) => {
    // Every problem is described alike, whatever a route says of its own.
    if (Number(status) >= 400)
      return [status, { description: answer.description, content: problemContent }] as const
    const { description, schema, type = 'application/json' } = answer
    const content =
      schema === undefined && answer.type === undefined
        ? {}
        : { content: { [type]: { schema: schemaOf(schema ?? { type: 'string' }) } } }
    return [status, { description, ...content }] as const
  })
  return { ...Object.fromEntries(own), '4XX': anyProblem, '5XX': anyProblem }
}

const tagTexts: Readonly<Record<string, string>> = {
  jobs: 'Add jobs, look at them, wait for what they give, and act on them.',
  queues: 'The lines in which jobs wait.',
  schedules: 'What adds jobs by the clock.',
  workflows: 'Jobs that need others.',
  control: 'What operators tell workers.',
  events: 'What happens, as it happens.',
  document: 'This document.',
}

function tagText(tag: string, tasks: readonly TaskNotes[]): string {
  const fixed = Object.hasOwn(tagTexts, tag) ? tagTexts[tag] : undefined
  const isQueue = tasks.some(({ queues }) => queues.includes(tag))
  const texts = [fixed, isQueue ? `Tasks of the queue ${tag}.` : undefined]
  const text = texts.filter((one) => one !== undefined).join(' ')
  return text === '' ? `What is tagged ${tag}.` : text
}

function tagsOf(
  paths: Readonly<Record<string, Readonly<Record<string, Json>>>>,
): readonly string[] {
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  return [...new Set(operations.flatMap(({ tags }) => tags as readonly string[]))]
}

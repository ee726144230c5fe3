/** Jobs: find them, see them, get what they came to. */
import { isFinal } from '../../core/job.ts'
import { mayTouch } from '../caller.ts'
import { endDetails, endOf, type End } from '../ends.ts'
import { filterOfQuery, filterParameters } from '../job-filters.ts'
import { isoOf, jobJson } from '../job-json.ts'
import { Problem } from '../problem.ts'
import { missingJob, narrowed, readId, readWait, textOf } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import {
  afterParameter,
  count,
  jobSchema,
  limitParameter,
  list,
  object,
  problemAnswer,
  stateSchema,
  text,
  textOrNull,
  time,
  waitParameter,
} from '../schemas.ts'
import type { JobRecord } from '../../client/job-record.ts'

const noJob = problemAnswer('No such job.')

export const jobRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/jobs',
    id: 'listJobs',
    summary: 'Find jobs, the newest first. A page may be short while `next` is not null.',
    tag: 'jobs',
    scopes: ['read'],
    query: { ...filterParameters, limit: limitParameter, after: afterParameter },
    answers: {
      200: {
        description:
          'A page. `scanned` says how many jobs a tag, a schedule or a search looked at.',
        schema: object({ jobs: list(jobSchema), next: textOrNull, scanned: count }, ['scanned']),
      },
    },
    async handle({ errand, caller, query }) {
      const after = textOf(query, 'after')
      const { jobs, ...page } = await errand.jobs.list({
        ...narrowed(caller, filterOfQuery(query)),
        limit: (query['limit'] as number | undefined) ?? 100,
        ...(after === undefined ? {} : { after }),
      })
      const seen = jobs.filter(({ queue }) => mayTouch(caller, queue))
      return json({ jobs: seen.map(jobJson), ...page })
    },
  },
  {
    method: 'GET',
    path: '/v1/jobs/{id}',
    id: 'getJob',
    summary: 'See one job.',
    tag: 'jobs',
    scopes: ['read'],
    answers: { 200: { description: 'The job.', schema: jobSchema }, 404: noJob },
    async handle(call) {
      return json(jobJson(await findJob(call)))
    },
  },
  {
    method: 'GET',
    path: '/v1/jobs/{id}/result',
    id: 'getResult',
    summary: 'Get the output of a job, and wait for it if asked to.',
    tag: 'jobs',
    scopes: ['read'],
    query: { wait: waitParameter },
    answers: {
      200: { description: 'The job has completed.', schema: object({ output: {} }) },
      202: {
        description: 'It has not ended. `state` is null where it was not seen.',
        schema: object({ state: { oneOf: [stateSchema, { type: 'null' }] } }),
      },
      404: noJob,
      409: problemAnswer('It ended without an output, or is gone; `details` has its errors.'),
    },
    async handle(call) {
      const { errand, caller, query, params, signal } = call
      const waitMs = readWait(query)
      const id = readId(params)
      // One read is enough for a caller who may see every job.
      if (waitMs !== null && caller.queues === null)
        return endResponse(await endOf(errand, id, waitMs, signal))
      const { state } = await findJob(call)
      if (waitMs === null && !isFinal(state)) return json({ state }, 202)
      return endResponse(await endOf(errand, id, waitMs ?? readMs, signal))
    },
  },
  {
    method: 'GET',
    path: '/v1/jobs/{id}/logs',
    id: 'getLogs',
    summary: 'See what the handler of a job wrote, oldest first.',
    tag: 'jobs',
    scopes: ['read'],
    answers: {
      200: {
        description: 'The lines.',
        schema: object({
          lines: list(
            object({ at: time, level: { enum: ['debug', 'info', 'warn', 'error'] }, text }),
          ),
        }),
      },
      404: noJob,
    },
    async handle(call) {
      const { id } = await findJob(call)
      const lines = await call.errand.jobs.logs(id)
      return json({ lines: lines.map((line) => ({ ...line, at: isoOf(line.at) })) })
    },
  },
]

/** How long a job that has ended is read. */
const readMs = 10_000

/** The job of a path. Throws `job-missing`, also for one that the caller may not see. */
export async function findJob({ errand, caller, params }: RouteCall): Promise<JobRecord> {
  const job = await errand.jobs.get(readId(params))
  if (job === null || !mayTouch(caller, job.queue)) throw missingJob()
  return job
}

function endResponse(end: End): Response {
  switch (end.kind) {
    case 'completed':
      return json({ output: end.output ?? null })
    case 'open':
      return json({ state: end.state }, 202)
    case 'missing':
      throw end.error
    case 'ended':
      throw new Problem(end.error.code, end.error.message, { details: endDetails(end.error) })
  }
}

/** What operators do to a job. */
import type { Tally } from '../../client/jobs.ts'
import { clientOf } from '../../client/own-client.ts'
import { mayTouch } from '../caller.ts'
import { keptAnswersOf, takeOnce } from '../once/index.ts'
import { Problem } from '../problem.ts'
import { missingJob, readId } from '../read.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import { jobSchema, object, problemAnswer, text } from '../schemas.ts'
import { textResponse } from '../text-response.ts'
import { findJob } from './jobs.ts'

const noJob = problemAnswer('No such job.')

export const jobVerbRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/jobs/{id}/take',
    id: 'takeJob',
    summary:
      'Get a job that has ended, and remove it. Sent again within 5 minutes: the same answer.',
    tag: 'jobs',
    scopes: ['operate'],
    body: object({ id: { type: 'string', minLength: 1, maxLength: 255 } }),
    answers: {
      200: { description: 'The job, which is removed.', schema: jobSchema },
      404: noJob,
      409: problemAnswer('It has not ended, or another take came first.'),
    },
    async handle({ errand, caller, params, body }) {
      const answer = await takeOnce(clientOf(errand), keptAnswersOf(errand), {
        id: readId(params),
        token: caller.token,
        take: (body as { readonly id: string }).id,
        mayTouch: (queue) => mayTouch(caller, queue),
        ...(errand.redaction && { shown: (job) => errand.redaction?.record(job) ?? job }),
      })
      switch (answer.status) {
        case 'taken':
          return textResponse(answer.text, 200, { 'content-type': 'application/json' })
        case 'missing':
          throw missingJob()
        case 'open':
          throw new Problem('conflict', `The job is ${answer.state}: it has not ended.`, {
            details: { state: answer.state },
          })
        case 'lost':
          throw new Problem('conflict', 'Somebody else takes this job.')
      }
    },
  },
  {
    method: 'POST',
    path: '/v1/jobs/{id}/cancel',
    id: 'cancelJob',
    summary: 'Cancel a job that waits, or ask one that runs to end.',
    tag: 'jobs',
    scopes: ['operate'],
    body: object({ reason: text }, ['reason']),
    answers: {
      200: {
        description: 'It is cancelled, or asked to end.',
        schema: object({ answer: { enum: ['cancelled', 'asked'] } }),
      },
      404: noJob,
      409: problemAnswer('It has ended already.'),
    },
    async handle(call) {
      const id = await touchedId(call)
      const { reason } = (call.body ?? {}) as { readonly reason?: string }
      const answer = only(await call.errand.jobs.cancel(id, reason === undefined ? {} : { reason }))
      switch (answer) {
        case 'cancelled':
        case 'asked':
          return json({ answer })
        case 'final':
          throw new Problem('conflict', 'The job has ended already.')
        case 'missing':
        case undefined:
          throw missingJob()
      }
    },
  },
  {
    method: 'POST',
    path: '/v1/jobs/{id}/retry',
    id: 'retryJob',
    summary: 'Make a job that failed, was cancelled or discarded ready again.',
    tag: 'jobs',
    scopes: ['operate'],
    answers: {
      200: { description: 'It is ready.', schema: object({ answer: { enum: ['retried'] } }) },
      404: noJob,
      409: problemAnswer('It waits, runs or has completed, or another job holds its unique key.'),
    },
    async handle(call) {
      const answer = only(await call.errand.jobs.retry(await touchedId(call)))
      switch (answer) {
        case 'retried':
          return json({ answer })
        case 'duplicate':
          throw new Problem('conflict', 'Another job holds its unique key.')
        case 'unfit':
          throw new Problem('conflict', 'Only jobs that failed, were cancelled or discarded can.')
        case 'missing':
        case undefined:
          throw missingJob()
      }
    },
  },
  {
    method: 'DELETE',
    path: '/v1/jobs/{id}',
    id: 'removeJob',
    summary: 'Remove a job that does not run.',
    tag: 'jobs',
    scopes: ['operate'],
    answers: {
      204: { description: 'It is removed.' },
      404: noJob,
      409: problemAnswer('It runs: cancel it first.'),
    },
    async handle(call) {
      const answer = only(await call.errand.jobs.remove(await touchedId(call)))
      switch (answer) {
        case 'removed':
          return new Response(null, { status: 204 })
        case 'running':
          throw new Problem('conflict', 'The job runs: cancel it first.')
        case 'missing':
        case undefined:
          throw missingJob()
      }
    },
  },
]

/** What became of a single job. */
function only<Answer extends string>(tally: Tally<Answer>): Answer | undefined {
  return (Object.keys(tally) as Answer[])[0]
}

/** The id of a job that the caller may touch. */
async function touchedId(call: RouteCall): Promise<string> {
  return call.caller.queues === null ? readId(call.params) : (await findJob(call)).id
}

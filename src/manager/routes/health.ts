/** How the manager and its store are. */
import { version } from '../../core/version.ts'
import { answered } from '../../loops/call-deadline.ts'
import { examined } from '../examination.ts'
import { Problem } from '../problem.ts'
import { checkAllQueues } from '../read.ts'
import { json, type Route } from '../route.ts'
import { count, list, object, problemAnswer, text } from '../schemas.ts'

/** A store that takes longer is not ready. */
const readyMs = 2_000

/** How a source of this process is; failures are those in a row. */
const sourceSchema = object({
  name: text,
  state: { enum: ['connecting', 'connected', 'stopped'] },
  failures: count,
  storeFailures: count,
})

export const healthRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/health',
    id: 'getHealth',
    summary: 'Tell that the manager runs, whatever the store does.',
    tag: 'health',
    scopes: [],
    answers: {
      200: {
        description: 'It runs.',
        schema: object({ status: { enum: ['ok'] }, version: text, sources: list(sourceSchema) }, [
          'sources',
        ]),
      },
    },
    handle({ errand }) {
      const sources = errand.sources.status.map(({ name, state, failures, storeFailures }) => ({
        name,
        state,
        failures,
        storeFailures,
      }))
      return json({ status: 'ok', version, ...(sources.length === 0 ? {} : { sources }) })
    },
  },
  {
    method: 'GET',
    path: '/v1/ready',
    id: 'getReady',
    summary: 'Tell whether requests should come here: the store answers, and the manager goes on.',
    tag: 'health',
    scopes: [],
    answers: {
      200: { description: 'It is ready.', schema: object({ status: { enum: ['ok'] } }) },
      503: problemAnswer('The store is away, or the manager stops.'),
    },
    async handle({ errand: { store }, request, signal }) {
      if (signal.aborted && !request.signal.aborted)
        throw new Problem('closed', 'The manager stops.')
      await answered(store.clock, store.getRecords(['http/ready']), { withinMs: readyMs })
      return json({ status: 'ok' })
    },
  },
  {
    method: 'GET',
    path: '/v1/doctor',
    id: 'getDoctor',
    summary: 'Look whether all is well with the store, the workers and the jobs. Takes seconds.',
    tag: 'health',
    scopes: ['read'],
    answers: {
      200: {
        description: 'What was found, whether good or bad.',
        schema: object({
          findings: list(
            object(
              {
                check: text,
                status: { enum: ['ok', 'warn', 'fail'] },
                text,
                advice: text,
              },
              ['advice'],
            ),
          ),
        }),
      },
    },
    async handle({ errand, caller, signal }) {
      checkAllQueues(caller)
      return json({ findings: await examined(errand, signal) })
    },
  },
]

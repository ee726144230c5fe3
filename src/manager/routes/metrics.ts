/** Numbers for those who watch and those who scale: Prometheus and KEDA. */
import { prometheus, type Prometheus } from '../../observe/prometheus/prometheus.ts'
import { mayTouch } from '../caller.ts'
import type { Managed } from '../managed.ts'
import { checkAllQueues, checkQueue, textOf } from '../read.ts'
import { json, type Route } from '../route.ts'
import { count, object } from '../schemas.ts'
import { textResponse } from '../text-response.ts'

const amount = { type: 'number', minimum: 0 }

export const metricRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/metrics',
    id: 'getMetrics',
    summary: 'See how the store and this process stand, as Prometheus reads it.',
    tag: 'metrics',
    scopes: ['read'],
    answers: {
      200: {
        description: 'The text format 0.0.4. What this process saw is counted from the first call.',
        type: 'text/plain',
      },
    },
    async handle({ errand, caller }) {
      checkAllQueues(caller)
      const metrics = metricsOf(errand)
      return textResponse(await metrics.text(), 200, {
        'content-type': metrics.contentType,
        'cache-control': 'no-store',
      })
    },
  },
  {
    method: 'GET',
    path: '/metrics/scale',
    id: 'getScale',
    summary: 'See how much work is due, for a scaler such as the metrics-api of KEDA.',
    tag: 'metrics',
    scopes: ['read'],
    query: {
      queue: {
        schema: { type: 'string' },
        description: 'Of this queue only; left out, of all that the caller may see.',
      },
    },
    answers: {
      200: {
        description: '`value` is what is ready or runs: the jobs that slots are wanted for.',
        schema: object({ value: count, ready: count, running: count, oldestReadySeconds: amount }),
      },
    },
    async handle({ errand, caller, query }) {
      const queue = textOf(query, 'queue')
      if (queue !== undefined) checkQueue(caller, queue)
      const stats = (await errand.store.stats()).filter(
        (one) => mayTouch(caller, one.queue) && (queue === undefined || one.queue === queue),
      )
      const ready = stats.reduce((sum, { counts }) => sum + (counts.ready ?? 0), 0)
      const running = stats.reduce((sum, { counts }) => sum + (counts.running ?? 0), 0)
      const now = errand.store.clock.now()
      const ages = stats.map(({ oldestReadyAt }) => (now - (oldestReadyAt ?? now)) / 1_000)
      const oldestReadySeconds = Math.max(0, ...ages)
      return json({ value: ready + running, ready, running, oldestReadySeconds })
    },
  },
]

const measured = new WeakMap<Managed, Prometheus>()

/** One for each app, from the first who asks on. */
function metricsOf(errand: Managed): Prometheus {
  let metrics = measured.get(errand)
  if (metrics === undefined) measured.set(errand, (metrics = prometheus(errand)))
  return metrics
}

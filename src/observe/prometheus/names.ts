/** All metrics with their names, kinds and meanings, in one place for the text, the alert rules and the tests. */
import type { Family } from './exposition.ts'

const all = {
  // What the store knows: every process exports the same.
  errand_store_up: ['gauge', 'Whether the store answered this scrape: 1 or 0.'],
  errand_jobs: ['gauge', 'Jobs in the store by queue and state.'],
  errand_queue_oldest_ready_seconds: [
    'gauge',
    'How long the ready job that was due first has been due; 0 when none is ready.',
  ],
  errand_workers: ['gauge', 'Workers of the last day: running, lost or stopped.'],
  // What one process has seen.
  errand_attempts_total: ['counter', 'Attempts that ended, by what came of them.'],
  errand_job_wait_seconds: ['histogram', 'From due to started, for first attempts.'],
  errand_job_duration_seconds: ['histogram', 'From the start to the end of an attempt.'],
  errand_job_total_seconds: ['histogram', 'From the enqueue to the end of a job.'],
  errand_losses_total: ['counter', 'Jobs whose worker was lost while they ran.'],
  errand_stale_settlements_total: ['counter', 'Attempts whose end counted for nothing.'],
  errand_schedule_lag_seconds: ['histogram', 'From the planned time of a tick to its job.'],
  errand_store_call_seconds: ['histogram', 'How long calls of the store took.'],
  errand_store_call_failures_total: ['counter', 'Calls of the store that failed.'],
  errand_part_failures_total: ['counter', 'Failures of parts that try again.'],
  errand_slots: ['gauge', 'Slots of the workers of this process: used and free.'],
  errand_runs_stuck: ['gauge', 'Handlers that ignore their abort and keep their slots.'],
  errand_event_loop_lag_seconds: [
    'gauge',
    'The longest that the event loop was late within the last quarter of a minute.',
  ],
  errand_http_request_seconds: ['histogram', 'How long the manager took to answer, by route.'],
  errand_http_requests_total: ['counter', 'Requests that the manager answered, by status.'],
  errand_singleton_rounds_total: ['counter', 'Rounds of singletons, by what came of them.'],
  errand_singleton_duration_seconds: ['histogram', 'How long rounds of singletons took.'],
} as const

export type MetricName = keyof typeof all

/** The names of all metrics. */
export const metricNames: readonly string[] = Object.keys(all)

/** A metric with its values. */
export function family(name: MetricName, samples: Family['samples']): Family {
  const [type, help] = all[name]
  return { name, type, help, samples }
}

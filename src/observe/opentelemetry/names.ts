/**
 * Names of OpenTelemetry's conventions for messaging (semantic conventions 1.44, still under
 * development), and our own where there are none. Nothing else knows them.
 */
export const system = 'errand'

export const attribute = {
  system: 'messaging.system',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  queue: 'messaging.destination.name',
  job: 'messaging.message.id',
  count: 'messaging.batch.message_count',
  error: 'error.type',
  task: 'errand.task',
  attempt: 'errand.attempt',
  outcome: 'errand.outcome',
  schedule: 'errand.schedule',
  call: 'errand.store.call',
} as const

/** Operations, with the kinds that the conventions give them. */
export const operation = {
  enqueue: { name: 'enqueue', type: 'send' },
  tick: { name: 'tick', type: 'create' },
  run: { name: 'run', type: 'process' },
} as const

export type Operation = (typeof operation)[keyof typeof operation]

/** Metrics: name, unit, meaning. Durations are in seconds. */
export const metric = {
  sent: ['messaging.client.sent.messages', '{message}', 'Jobs enqueued by this process.'],
  consumed: ['messaging.client.consumed.messages', '{message}', 'Attempts that ended.'],
  duration: ['messaging.process.duration', 's', 'From the start to the end of an attempt.'],
  wait: ['errand.job.wait', 's', 'From due to started, for first attempts.'],
  total: ['errand.job.total', 's', 'From the enqueue to the end of a job.'],
  lost: ['errand.jobs.lost', '{job}', 'Jobs whose worker was lost while they ran.'],
  stale: ['errand.settlements.stale', '{settlement}', 'Attempts whose end counted for nothing.'],
  lag: ['errand.schedule.lag', 's', 'From the planned time of a tick to its job.'],
  calls: ['errand.store.call.duration', 's', 'How long calls of the store took.'],
} as const

/** The header of the W3C's trace context, and the one beside it. */
export const traceHeader = 'traceparent'
export const stateHeader = 'tracestate'

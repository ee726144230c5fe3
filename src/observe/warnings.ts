/**
 * Warnings: what a person should know, as a code with its facts. The sentences are made here and
 * nowhere else.
 */
import { formatMs } from '../core/duration.ts'
import { errorText } from '../core/kept-error.ts'

interface JobFacts {
  readonly id: string
  readonly task: string
}

interface Failure {
  readonly error: unknown
}

/** What each warning is about. */
export interface WarningFacts {
  /** A worker that cannot renew its leases starts no job until it can. */
  'cannot-renew': { readonly worker: string }
  /** Whether a transaction with `job.complete` has committed is not known yet. */
  'commit-unknown': JobFacts & Failure
  /** A worker that stopped could not dispose of the context. */
  'context-dispose': { readonly worker: string } & Failure
  /** Orders to workers that this version cannot read; those known before hold on. */
  'control-unreadable': { readonly worker: string }
  /** A handler failed after its transaction with `job.complete` had committed. */
  'failed-after-complete': JobFacts & Failure
  /** A follow-up is stored without its own options. */
  'follow-up-options': JobFacts & Failure & { readonly followUp: string }
  /** The file that says that workers are well cannot be written. */
  'health-file': Failure & { readonly path: string }
  'job-unreadable': JobFacts
  'large-payload': { readonly what: string; readonly bytes: number; readonly warnBytes: number }
  'listener-failed': Failure & { readonly event: string }
  'no-handler': { readonly task: string; readonly place: string }
  /** The event loop does what a thread should; `work` names it. */
  'no-thread': { readonly why: string } & (
    | { readonly work: 'leases' }
    | { readonly work: 'lock'; readonly name: string }
  )
  /** Metrics cannot be served yet; the worker goes on. */
  'metrics-port': Failure & { readonly address: string }
  /** A schema's library gives no JSON Schema of it, or one that is too long. */
  'no-json-schema': { readonly task: string; readonly of: 'input' | 'output'; readonly why: string }
  'note-refused': JobFacts & Failure & { readonly note: 'log' | 'progress' }
  /** A worker that stopped could not end one of its parts. */
  'part-stop': { readonly worker: string } & Failure
  'pruning-failed': Failure
  /** The manager could not answer a request, for a fault of its own or of the store. */
  'request-failed': Failure & { readonly method: string; readonly route: string | null }
  /** A function of a schedule threw; it is not called again for this tick. */
  'schedule-failed': Failure & { readonly schedule: string }
  /** A schedule fires no more until it is resumed. */
  'schedule-paused': { readonly schedule: string; readonly why: string }
  /** This process cannot compute the times of a schedule, such as for lack of its time zone; others may. */
  'schedule-unreadable': Failure & { readonly schedule: string }
  /** Two apps declare a schedule of one name; the one that has it keeps it. */
  'schedule-taken': { readonly schedule: string; readonly scheduler: string; readonly by: string }
  /** The store can never take what a job came to; its lease runs out. */
  'settlement-refused': JobFacts & Failure
  /** A job of a dead worker could not be settled this time. */
  'settlement-failed': JobFacts & Failure
  /** A start of many steps could not say that it lives, or take back what it had stored when it failed. */
  'run-start': Failure & { readonly run: string; readonly what: 'beat' | 'take-back' }
  /** A function of the configuration threw; it is called again. */
  'should-restart': Failure
  'start-not-written': JobFacts & Failure
  /** Something about the store that endangers jobs or slows them down. */
  'store-at-risk': { readonly text: string; readonly advice: string }
  /** A task cannot be started here; its jobs are left to other workers until it is tried again. */
  'task-broken': Failure & { readonly task: string; readonly againMs: number }
  /** The event loop stood still while one of these tasks ran. */
  'task-blocks-loop': { readonly tasks: readonly string[]; readonly blockedMs: number }
  /** Traces or metrics cannot be made; reported once, and jobs run all the same. */
  'telemetry-failed': Failure
  'unusable-schema': Failure & { readonly task: string }
  /** A worker that stopped could not write the end of its record. */
  'worker-record': { readonly worker: string } & Failure
}

export type WarningCode = keyof WarningFacts

/** A warning: its code, the sentence for people, and the facts of that code. */
export type Warning = {
  [Code in WarningCode]: {
    readonly code: Code
    readonly message: string
  } & WarningFacts[Code]
}[WarningCode]

/** Makes a warning, with its sentence. */
export function warningOf<Code extends WarningCode>(
  code: Code,
  facts: WarningFacts[Code],
): Warning {
  return { code, message: sentences[code](facts), ...facts } as unknown as Warning
}

const which = ({ task, id }: JobFacts): string => `${task} ${id}`

const leftOpen = ({ worker, error }: { readonly worker: string } & Failure): string =>
  `Worker ${worker} could not close all that it had opened: ${errorText(error)}`

const sentences: { readonly [Code in WarningCode]: (facts: WarningFacts[Code]) => string } = {
  'cannot-renew': ({ worker }) =>
    `Worker ${worker} cannot renew its leases, so it starts no further job until it can. See part-failed for why.`,
  'commit-unknown': (facts) =>
    `Whether ${which(facts)} was completed is not known yet: ${errorText(facts.error)}`,
  'context-dispose': leftOpen,
  'control-unreadable': ({ worker }) =>
    `Worker ${worker} cannot read the orders of operators, which another version of Errand wrote; it keeps to those it knew. Update it.`,
  'failed-after-complete': (facts) =>
    `${which(facts)} stays completed, since its transaction has committed, but its handler failed after that: ${errorText(facts.error)}`,
  'follow-up-options': (facts) =>
    `The follow-up ${facts.followUp} of ${which(facts)} goes to the queue default without its own options: ${errorText(facts.error)}`,
  'health-file': ({ path, error }) =>
    `The health file ${path} cannot be written, so a probe considers this process unhealthy: ${errorText(error)}`,
  'job-unreadable': (facts) =>
    `${which(facts)} was failed without a run, because part of what is stored of it cannot be read. The rest is kept: see errand jobs show ${facts.id}`,
  'large-payload': ({ what, bytes, warnBytes }) =>
    `${what} has ${bytes} bytes; jobs are fastest below ${warnBytes}.`,
  'listener-failed': ({ event, error }) => `A listener of ${event} threw: ${errorText(error)}`,
  'metrics-port': ({ address, error }) =>
    `Metrics are not served at ${address} yet: ${errorText(error)}. Jobs run all the same; choose another --metrics-port, or stop what listens there.`,
  'no-handler': ({ task, place }) =>
    `${task} at ${place} has no handler, so its jobs are put aside here. Give it one with run().`,
  'no-thread': (facts) => `${withoutThread(facts)} ${facts.why}`,
  'no-json-schema': ({ task, of, why }) =>
    `The ${of} of ${task} is not described to those without its code${of === 'input' ? ', and is checked only where the task is defined' : ''}: ${why}`,
  'note-refused': (facts) =>
    `${facts.note === 'log' ? 'A log line' : 'Progress'} of ${which(facts)} was refused by the store and is dropped: ${errorText(facts.error)}`,
  'part-stop': leftOpen,
  'pruning-failed': ({ error }) =>
    `Finished jobs were not pruned after an inline run; a later run tries again: ${errorText(error)}`,
  'request-failed': ({ method, route, error }) =>
    `${method} ${route ?? 'of an unknown path'} was answered with 500: ${errorText(error)}`,
  'schedule-failed': ({ schedule, error }) =>
    `The function of schedule ${schedule} failed: ${errorText(error)}`,
  'schedule-paused': ({ schedule, why }) =>
    `Schedule ${schedule} is paused: ${why.replace(/\.$/, '')}. Resume it with errand schedules resume ${schedule}`,
  'schedule-unreadable': ({ schedule, error }) =>
    `Schedule ${schedule} does not fire here, because its times cannot be computed: ${errorText(error)}`,
  'schedule-taken': ({ schedule, scheduler, by }) =>
    `Schedule ${schedule} of scheduler ${scheduler} is not stored, because scheduler ${by} has one of that name: rename one of them.`,
  'settlement-refused': (facts) =>
    `The settlement of ${which(facts)} cannot be written; it runs again when its lease ends: ${errorText(facts.error)}`,
  'settlement-failed': (facts) => `${which(facts)} is rescued later: ${errorText(facts.error)}`,
  'run-start': ({ run, what, error }) =>
    what === 'beat'
      ? `The start of run ${run} could not report that it goes on; it tries again: ${errorText(error)}`
      : `What the failed start of run ${run} has stored is taken back later by a worker: ${errorText(error)}`,
  'should-restart': ({ error }) => `shouldRestart threw, and is called again: ${errorText(error)}`,
  'start-not-written': (facts) => `${which(facts)} was not started: ${errorText(facts.error)}`,
  'store-at-risk': ({ text, advice }) => `${text} ${advice}`,
  'task-broken': ({ task, error, againMs }) =>
    `${task} cannot be started here, so its jobs are left to other workers; it is tried again in ${formatMs(againMs)}: ${errorText(error)}`,
  'task-blocks-loop': ({ tasks, blockedMs }) =>
    `${tasks.length === 1 ? tasks[0] : `One of ${tasks.join(', ')}`} blocked the event loop for ${formatMs(blockedMs)}: meanwhile no other job makes progress, and no timeout or cancel is noticed. Give the task isolate: 'thread' or 'process'.`,
  'telemetry-failed': ({ error }) =>
    `Some traces or metrics are missing; jobs run all the same: ${errorText(error)}`,
  'unusable-schema': ({ task, error }) =>
    `The registered schema of ${task} cannot be used, its inputs are checked only where they run: ${errorText(error)}`,
  'worker-record': leftOpen,
}

function withoutThread(facts: WarningFacts['no-thread']): string {
  switch (facts.work) {
    case 'leases':
      return 'Leases are renewed on the event loop: a handler that blocks it for longer than its lease runs again elsewhere.'
    case 'lock':
      return `The lock of ${facts.name} is extended on the event loop: a run that blocks it for longer than the lock lasts loses it.`
  }
}

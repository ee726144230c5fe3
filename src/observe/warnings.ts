/**
 * Warnings: what a person should know, as a code with its facts. The sentences are made here and
 * nowhere else.
 */
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
  /** A handler failed after its transaction with `job.complete` had committed. */
  'failed-after-complete': JobFacts & Failure
  /** A follow-up is stored without the options of its own. */
  'follow-up-options': JobFacts & Failure & { readonly followUp: string }
  'job-unreadable': JobFacts
  'large-payload': { readonly what: string; readonly bytes: number; readonly warnBytes: number }
  'listener-failed': Failure & { readonly event: string }
  'no-handler': { readonly task: string; readonly place: string }
  /** The event loop does what a thread should; `work` names it. */
  'no-thread': { readonly why: string } & (
    | { readonly work: 'leases' }
    | { readonly work: 'lock'; readonly name: string }
  )
  'note-refused': JobFacts & Failure & { readonly note: 'log' | 'progress' }
  /** A worker that stopped could not end one of its parts. */
  'part-stop': { readonly worker: string } & Failure
  'pruning-failed': Failure
  /** The store can never take what a job came to; its lease runs out. */
  'settlement-refused': JobFacts & Failure
  /** A job of a dead worker could not be settled this time. */
  'settlement-failed': JobFacts & Failure
  'start-not-written': JobFacts & Failure
  /** What the store says that endangers jobs or slows them down. */
  'store-at-risk': { readonly text: string; readonly advice: string }
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
  'failed-after-complete': (facts) =>
    `${which(facts)} stays completed, since its transaction has committed, but its handler failed after that: ${errorText(facts.error)}`,
  'follow-up-options': (facts) =>
    `The follow-up ${facts.followUp} of ${which(facts)} goes to the queue default without its own options: ${errorText(facts.error)}`,
  'job-unreadable': (facts) =>
    `${which(facts)} was failed without a run, for not all that is stored of it can be read. What can, is kept: see errand jobs show ${facts.id}`,
  'large-payload': ({ what, bytes, warnBytes }) =>
    `${what} has ${bytes} bytes; jobs are fastest below ${warnBytes}.`,
  'listener-failed': ({ event, error }) => `A listener of ${event} threw: ${errorText(error)}`,
  'no-handler': ({ task, place }) =>
    `${task} at ${place} has no handler, so its jobs are put aside here. Give it one by run().`,
  'no-thread': (facts) => `${withoutThread(facts)} ${facts.why}`,
  'note-refused': (facts) =>
    `${facts.note === 'log' ? 'A log line' : 'A progress'} of ${which(facts)} was refused by the store and is dropped: ${errorText(facts.error)}`,
  'part-stop': leftOpen,
  'pruning-failed': ({ error }) =>
    `Finished jobs were not pruned after an inline run; a later run tries again: ${errorText(error)}`,
  'settlement-refused': (facts) =>
    `The settlement of ${which(facts)} cannot be written; it runs again when its lease ends: ${errorText(facts.error)}`,
  'settlement-failed': (facts) => `${which(facts)} is rescued later: ${errorText(facts.error)}`,
  'start-not-written': (facts) => `${which(facts)} was not started: ${errorText(facts.error)}`,
  'store-at-risk': ({ text, advice }) => `${text} ${advice}`,
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

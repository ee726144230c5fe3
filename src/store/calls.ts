/**
 * The calls of the contract as data: whose they are, and what sending one again means when its answer was lost. Whatever
 * treats all calls alike reads this list: a store over HTTP, its scopes, tracing, a journal of calls, the rules about crashes.
 */
import type { Store } from './store.ts'

/** Who makes a call. */
export type CallRole =
  | 'producer'
  | 'worker'
  | 'reader'
  | 'operator'
  | 'registry'
  | 'records'
  | 'locks'

/** What happens when a call is carried out twice. */
export type Repeat =
  /** It reads. */
  | 'reads'
  /** The second changes nothing, and returns what the first did. */
  | 'same'
  /** The second does again what it says, which leaves things as they were: the last writer wins. */
  | 'overwrites'
  /** The second may do more of its work, or return another answer: a log line twice, jobs under another lease. */
  | 'adds'

export interface Call {
  readonly role: CallRole
  readonly repeat: Repeat
}

/** A method that is sent to the store's server; not `watch`, `setup`, `warnings` and `close`, which belong to a connection. */
export type CallName = Exclude<
  {
    [K in keyof Store]: Store[K] extends (...args: never[]) => Promise<unknown> ? K : never
  }[keyof Store],
  'setup' | 'warnings' | 'close'
>

export const calls: Readonly<Record<CallName, Call>> = {
  insert: { role: 'producer', repeat: 'same' },
  claim: { role: 'worker', repeat: 'adds' },
  settle: { role: 'worker', repeat: 'same' },
  renew: { role: 'worker', repeat: 'overwrites' },
  note: { role: 'worker', repeat: 'adds' },
  record: { role: 'worker', repeat: 'overwrites' },
  rescue: { role: 'worker', repeat: 'adds' },
  tend: { role: 'worker', repeat: 'overwrites' },
  get: { role: 'reader', repeat: 'reads' },
  list: { role: 'reader', repeat: 'reads' },
  counts: { role: 'reader', repeat: 'reads' },
  stats: { role: 'reader', repeat: 'reads' },
  logs: { role: 'reader', repeat: 'reads' },
  recorded: { role: 'reader', repeat: 'reads' },
  cancel: { role: 'operator', repeat: 'adds' },
  retry: { role: 'operator', repeat: 'adds' },
  remove: { role: 'operator', repeat: 'adds' },
  take: { role: 'operator', repeat: 'adds' },
  prune: { role: 'operator', repeat: 'adds' },
  pause: { role: 'registry', repeat: 'overwrites' },
  resume: { role: 'registry', repeat: 'overwrites' },
  queues: { role: 'registry', repeat: 'reads' },
  workers: { role: 'registry', repeat: 'reads' },
  registerTasks: { role: 'registry', repeat: 'overwrites' },
  tasks: { role: 'registry', repeat: 'reads' },
  getRecords: { role: 'records', repeat: 'reads' },
  listRecords: { role: 'records', repeat: 'reads' },
  putRecords: { role: 'records', repeat: 'adds' },
  hold: { role: 'locks', repeat: 'overwrites' },
  release: { role: 'locks', repeat: 'adds' },
  lockOwner: { role: 'locks', repeat: 'reads' },
}

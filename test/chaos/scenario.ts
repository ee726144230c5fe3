/**
 * What the jobs of a run are like: which tasks there are, how often each is enqueued, how its attempts end and what
 * follows. The check reads the same table, so that what is expected stands beside what is done.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  constant,
  Discard,
  Postpone,
  tasksWith,
  Unrecoverable,
  type AnyTask,
  type EnqueueOptions,
  type FailureReport,
  type RunningJob,
  type TaskOptions,
} from 'errand'
import type { Ending, Ledger } from './ledger.ts'
import { between, weighted, whole, type Random } from './random.ts'

/** What every job of the run takes; those that follow others keep their key. */
export interface Work {
  /** Names the producer's call. */
  readonly key: string
  /** How long an attempt takes. */
  readonly ms: number
  /** Whether the handler ends early when its signal aborts. */
  readonly heeds: boolean
}

/** One sort of job. */
export interface Kind {
  readonly task: string
  /** How much of the inflow it is; 0 for tasks that only follow others. */
  readonly share: number
  readonly options?: Omit<TaskOptions<Work>, 'name'>
  /** Whether the store forgets it when it is completed. */
  readonly isRemoved?: boolean
  readonly onSuccess?: readonly string[]
  readonly onFailure?: readonly string[]
  /** Options of each call. */
  readonly call?: EnqueueOptions & { readonly onSuccess?: readonly string[] }
  /** How many `leaf` jobs each attempt enqueues with its settlement. */
  readonly enqueues?: number
  /** How an attempt ends; it returns when nothing is said. */
  readonly ends?: (job: RunningJob) => Ending
}

/** Shared by the handlers of a process. */
export interface Context {
  readonly ledger: Ledger
}

/** So many values has the unique key of `only` and of `latest`. */
const uniqueKeys = 4

/** Tokens of one job often share their parity. */
const isOddHash = (token: number): boolean => Math.imul(token, 0x9e3779b1) < 0

const uniqueKey = ({ key }: Work): string => String(Number(key.split('-').at(-1)) % uniqueKeys)

export const kinds: readonly Kind[] = [
  { task: 'plain', share: 18 },
  { task: 'chain', share: 16, onSuccess: ['link'] },
  { task: 'fan', share: 8, onSuccess: ['leaf'], call: { onSuccess: ['leaf', 'link'] } },
  { task: 'parent', share: 8, enqueues: 2 },
  {
    task: 'flaky',
    share: 10,
    onSuccess: ['leaf'],
    onFailure: ['alarm'],
    ends: ({ attempt }) => (attempt <= 2 ? 'throws' : 'returns'),
  },
  {
    task: 'doomed',
    share: 6,
    onSuccess: ['leaf'],
    onFailure: ['alarm'],
    ends: ({ attempt }) => (attempt <= 1 ? 'throws' : 'gives-up'),
  },
  {
    task: 'postponer',
    share: 8,
    options: { postpone: { limit: 'none', delay: '200ms' } },
    enqueues: 1,
    ends: ({ token }) => (isOddHash(token) ? 'postpones' : 'returns'),
  },
  { task: 'discarder', share: 4, onSuccess: ['leaf'], enqueues: 1, ends: () => 'discards' },
  {
    task: 'only',
    share: 8,
    options: {
      unique: { key: uniqueKey, during: ['blocked', 'scheduled', 'ready', 'running'] },
      queue: 'side',
    },
  },
  {
    task: 'latest',
    share: 4,
    options: { unique: { key: uniqueKey, onConflict: 'replace' } },
    call: { delay: '500ms' },
  },
  { task: 'brief', share: 5, isRemoved: true, options: { retention: { completed: 'none' } } },
  { task: 'once', share: 5, options: { losses: 0 }, onFailure: ['alarm'] },
  { task: 'leaf', share: 0 },
  { task: 'link', share: 0, onSuccess: ['leaf'], options: { queue: 'side' } },
  { task: 'alarm', share: 0, options: { priority: -5 } },
]

const kindsByTask = new Map(kinds.map((kind) => [kind.task, kind]))

export function kindOf(task: string): Kind {
  const kind = kindsByTask.get(task)
  if (kind === undefined) throw new RangeError(`no kind of job has the task ${task}`)
  return kind
}

const { task } = tasksWith<Context>()

export const tasks: readonly AnyTask[] = kinds.map((kind) =>
  task<Work | FailureReport, Work>({
    name: kind.task,
    retry: { limit: 5, backoff: constant('150ms') },
    ...(kind.options as Omit<TaskOptions<Work | FailureReport>, 'name'>),
    onSuccess: kind.onSuccess ?? [],
    onFailure: kind.onFailure ?? [],
    run: (input, job) => attempt(kind, workOf(input), job),
  }),
)

/** Draws the next call of a producer. */
export function drawCall(
  random: Random,
  key: string,
): {
  readonly kind: Kind
  readonly work: Work
  readonly options: EnqueueOptions
} {
  const kind = weighted(random, kinds)
  const ms = random() < 0.02 ? between(random, 1_000, 3_000) : between(random, 10, 150)
  return {
    kind,
    work: { key, ms: Math.round(ms), heeds: random() < 0.25 },
    options: { priority: whole(random, -1, 1), ...kind.call },
  }
}

/** The key of the call that a job goes back to. */
export function keyOf(input: unknown): string {
  return workOf(input as Work | FailureReport).key
}

function workOf(input: Work | FailureReport): Work {
  return 'key' in input ? input : { key: keyOf(input.input), ms: 20, heeds: false }
}

async function attempt(kind: Kind, work: Work, job: RunningJob<Context>): Promise<Work> {
  const { id, token } = job
  const { ledger } = job.context
  ledger.write({ kind: 'start', id, task: job.task, token, attempt: job.attempt })
  try {
    await sleep(work.ms, undefined, work.heeds ? { signal: job.signal } : {})
  } catch (error) {
    ledger.write({ kind: 'end', id, token, how: 'is-aborted' })
    throw error
  }
  const child: Work = { key: work.key, ms: 20, heeds: false }
  for (let i = 0; i < (kind.enqueues ?? 0); i++) await job.enqueue('leaf', child)
  const how = kind.ends?.(job) ?? 'returns'
  ledger.write({ kind: 'end', id, token, how })
  carryOut(how)
  return child
}

function carryOut(how: Ending): void {
  switch (how) {
    case 'returns':
      return
    case 'throws':
      throw new Error('an attempt that is meant to fail')
    case 'gives-up':
      throw new Unrecoverable('a job that is meant to fail')
    case 'postpones':
      throw new Postpone()
    case 'discards':
      throw new Discard('meant to be discarded')
    case 'is-aborted':
      throw new RangeError('only a signal aborts')
  }
}

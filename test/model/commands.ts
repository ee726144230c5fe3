/**
 * Commands as `fast-check` draws and shrinks them: plain data that names jobs only by number. `resolve` makes calls of them, by what
 * the model knows when their turn comes. The weights are chosen so that each row of the table of states is met often.
 */
import fc from 'fast-check'
import type { JobState } from '../../src/core/job.ts'
import type { Requeue } from '../../src/store/worker-calls.ts'
import type { Keep, Need } from '../../src/store/job.ts'

export const clients = 3

export interface Command {
  readonly client: number
  /** Time that passes before. */
  readonly waitMs: number
  /** Whether it is issued at the same time as the next one, if that is another client's. */
  readonly together: boolean
  readonly what: What
}

export type What =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'insert'
      readonly jobs: readonly JobPlan[]
      readonly advances: readonly AdvancePlan[]
    }
  | { readonly kind: 'putRecords'; readonly writes: readonly WritePlan[] }
  | {
      readonly kind: 'listRecords'
      readonly prefix: string
      readonly after: string | null
      readonly limit: number
    }
  | {
      readonly kind: 'claim'
      readonly queues: readonly { readonly name: string; readonly limit: number }[]
      readonly others: number
      readonly limit: number
      readonly leaseMs: number
      readonly maxLosses: number | null
    }
  | { readonly kind: 'settle'; readonly settlements: readonly SettlePlan[] }
  | { readonly kind: 'renew'; readonly leases: readonly LeasePlan[]; readonly leaseMs: number }
  | { readonly kind: 'note'; readonly notes: readonly NotePlan[] }
  | {
      readonly kind: 'record'
      readonly lease: LeasePlan
      readonly name: string
      readonly text: string
      readonly jobs: readonly JobPlan[]
    }
  | {
      readonly kind: 'rescue'
      readonly tasks: readonly string[]
      readonly limit: number
      readonly leaseMs: number
    }
  | { readonly kind: 'tend'; readonly queues: readonly string[]; readonly stopped: boolean }
  | { readonly kind: 'cancel' | 'retry' | 'remove' | 'take'; readonly picks: readonly Pick[] }
  | { readonly kind: 'prune'; readonly limit: number; readonly cap: number }
  | { readonly kind: 'pause' | 'resume'; readonly queue: string }
  | { readonly kind: 'list'; readonly filter: ListFilter; readonly limit: number }
  | { readonly kind: 'logs' | 'recorded'; readonly pick: Pick }
  | { readonly kind: 'queues' | 'workers' }

/** A job by number, among those for which the command does something or among all. */
export interface Pick {
  readonly number: number
  readonly fits: boolean
}

/** A lease by number: one that holds, one that was lost, one that was settled, or one that never was. */
export interface LeasePlan {
  readonly number: number
  readonly which: 'held' | 'lost' | 'settled' | 'never'
}

/** An advance of some jobs of the insert that follow each other. */
export interface AdvancePlan {
  readonly key: string
  /** Whether its `from` is what the record holds. */
  readonly fits: boolean
  readonly to: string | null
  /** So many jobs that no advance has stand before its own. */
  readonly skips: number
  readonly takes: number
}

export interface WritePlan {
  readonly key: string
  readonly text: string | null
  readonly if: 'anything' | 'what it holds' | 'something else'
}

export interface JobPlan {
  /** The number of a known job whose insert is repeated with other fields; null for a new one. */
  readonly repeats: number | null
  readonly queue: string
  readonly task: string
  readonly priority: number
  readonly due: { readonly kind: 'delay' | 'runAt'; readonly ms: number }
  readonly startWithinMs: number | null
  readonly deadlineMs: number | null
  readonly keepCancelledMs: Keep
  readonly headStartMs: number
  /** What its group, a tag and a header are called; null for none of them. */
  readonly label: string | null
  readonly tie: Tie
}

/** What ties a job to others or to its caller. */
export type Tie =
  | { readonly kind: 'none' | 'lease' }
  | {
      readonly kind: 'unique'
      readonly key: string
      readonly during: readonly JobState[]
      readonly forMs: number | null
      readonly onConflict: 'skip' | 'replace'
      readonly maxWaitMs: number | null
      readonly lease: boolean
    }
  | {
      readonly kind: 'needs'
      readonly needs: readonly { readonly number: number; readonly onFailed: Need['onFailed'] }[]
      readonly key: string | null
    }

export type Ending =
  | 'completed'
  | 'failed'
  | 'unrecoverable'
  | 'postponed'
  | 'discarded'
  | 'interrupted'
  | 'unstarted'
  | 'unknown'
  | 'lost'
  | 'cancelled'

export interface SettlePlan {
  readonly lease: LeasePlan
  readonly ending: Ending
  /** Whether a worker's sense for what became of the job goes before `ending`: overdue, lost and cancelled jobs end as such. */
  readonly sensible: boolean
  readonly keepMs: Keep
  readonly delayMs: number
  readonly startedAgoMs: number | null
  /** Fields of a return that no policy decides so, to see that a store carries out whatever it is told. */
  readonly odd: Partial<
    FieldsOf<Requeue, 'place' | 'started' | 'suspect' | 'yieldsToCancel'>
  > | null
  readonly followUps: readonly JobPlan[]
}

type FieldsOf<T, K extends keyof T> = { readonly [P in K]: T[P] }

export interface NotePlan {
  readonly lease: LeasePlan
  readonly kind: 'start' | 'progress' | 'log'
  readonly agoMs: number
}

export interface ListFilter {
  readonly states: readonly JobState[] | null
  readonly task: string | null
  readonly queue: string | null
  readonly uniqueKey: string | null
  readonly group: string | null
  readonly tag: string | null
  readonly finished: boolean
}

/** The records that commands name. */
export const recordKeys: readonly string[] = ['at:1', 'at:2', 'by:1']

const leasesMs = 10_000
const queue = fc.constantFrom('a', 'b', 'c')
const key = fc.constantFrom('k', 'l')
const number = fc.nat(99)
const label = fc.constantFrom('x', 'y')
const recordKey = fc.constantFrom(...recordKeys)
const task = fc.constantFrom('t', 't', 't', 'u')
const keep = fc.constantFrom<Keep>(null, 60_000, 60_000, 3_600_000, 0)
const leaseMs = fc.constantFrom(leasesMs, leasesMs, leasesMs, 3_600_000, 1)

/** Draws the first most often, and shrinks towards it. */
function mostly<T>(weight: number, first: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { withCrossShrink: true },
    { weight, arbitrary: fc.constant(first) },
    ...others.map((other) => ({ weight: 1, arbitrary: fc.constant(other) })),
  )
}

/** Null but for one time in so many. */
function seldom<T>(weight: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof(
    { withCrossShrink: true },
    { weight: weight - 1, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary },
  )
}

const text = mostly<string | null>(2, '1', '2', '3', null)

const during = fc.constantFrom<readonly JobState[]>(
  ['blocked', 'scheduled', 'ready'],
  ['blocked', 'scheduled', 'ready'],
  ['scheduled', 'ready', 'running'],
  ['blocked', 'scheduled', 'ready', 'running', 'completed', 'failed'],
  ['running', 'cancelled', 'discarded'],
)

const tie: fc.Arbitrary<Tie> = fc.oneof(
  { withCrossShrink: true },
  { weight: 10, arbitrary: fc.constant<Tie>({ kind: 'none' }) },
  { weight: 1, arbitrary: fc.constant<Tie>({ kind: 'lease' }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('unique' as const),
      key,
      during,
      forMs: mostly<number | null>(3, null, 5_000, 60_000),
      onConflict: mostly<'skip' | 'replace'>(1, 'skip', 'replace'),
      maxWaitMs: mostly<number | null>(3, null, 0, 20_000),
      lease: mostly(9, false, true),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('needs' as const),
      needs: fc.array(fc.record({ number, onFailed: fc.constantFrom('cancel', 'fail', 'run') }), {
        minLength: 1,
        maxLength: 3,
      }),
      key: mostly<string | null>(5, null, 'k'),
    }),
  },
)

const jobPlan: fc.Arbitrary<JobPlan> = fc.record({
  repeats: seldom(20, number),
  queue,
  task,
  priority: mostly(4, 0, -1, 1),
  due: fc.oneof(
    { withCrossShrink: true },
    { weight: 6, arbitrary: fc.constant({ kind: 'delay' as const, ms: 0 }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('delay' as const),
        ms: fc.constantFrom(1, 1_000, 20_000, 3_600_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('runAt' as const),
        ms: fc.constantFrom(-5_000, 0, 5_000),
      }),
    },
  ),
  startWithinMs: mostly<number | null>(4, null, 1_000, 30_000),
  deadlineMs: mostly<number | null>(6, null, 1_000, 60_000),
  keepCancelledMs: keep,
  headStartMs: mostly(4, 0, 5_000, -5_000),
  label: seldom(4, label),
  tie,
})

const advancePlans: fc.Arbitrary<readonly AdvancePlan[]> = fc.uniqueArray(
  fc.record({
    key: recordKey,
    fits: mostly(2, true, false),
    to: text,
    skips: mostly(3, 0, 1),
    takes: mostly(1, 1, 2),
  }),
  { selector: ({ key: one }) => one, minLength: 1, maxLength: 2 },
)

const lease: fc.Arbitrary<LeasePlan> = fc.record({
  number,
  which: mostly<LeasePlan['which']>(14, 'held', 'lost', 'settled', 'never'),
})

const ending = fc.constantFrom<Ending>(
  'completed',
  'completed',
  'failed',
  'failed',
  'failed',
  'unrecoverable',
  'postponed',
  'postponed',
  'postponed',
  'discarded',
  'interrupted',
  'unstarted',
  'unknown',
  'lost',
  'cancelled',
)

const settlePlan: fc.Arbitrary<SettlePlan> = fc.record({
  lease,
  ending,
  sensible: mostly(4, true, false),
  keepMs: keep,
  delayMs: fc.constantFrom(1_000, 0, 20_000),
  startedAgoMs: fc.constantFrom(null, 0, 500),
  odd: seldom(
    6,
    fc.record(
      {
        place: fc.constantFrom('keep' as const, 'due' as const),
        started: fc.boolean(),
        suspect: fc.boolean(),
        yieldsToCancel: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  ),
  followUps: fc.oneof(
    { withCrossShrink: true },
    { weight: 5, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(jobPlan, { minLength: 1, maxLength: 2 }) },
  ),
})

const what: fc.Arbitrary<What> = fc.oneof(
  { withCrossShrink: true },
  // What every other command shrinks to: nothing.
  { weight: 1, arbitrary: fc.constant<What>({ kind: 'idle' }) },
  ...Object.entries<readonly [number, fc.Arbitrary<object>]>({
    insert: [
      26,
      fc.record({
        jobs: fc.array(jobPlan, { minLength: 1, maxLength: 3 }),
        advances: fc.oneof(
          { withCrossShrink: true },
          { weight: 3, arbitrary: fc.constant([]) },
          { weight: 1, arbitrary: advancePlans },
        ),
      }),
    ],
    claim: [
      26,
      fc.record({
        queues: fc.uniqueArray(fc.record({ name: queue, limit: mostly(4, 3, 1, 0) }), {
          selector: ({ name }) => name,
          maxLength: 3,
        }),
        others: mostly(1, 2, 0),
        limit: mostly(4, 5, 1, 2, 0),
        leaseMs,
        maxLosses: mostly(3, 99, null, 0, 1),
      }),
    ],
    settle: [40, fc.record({ settlements: fc.array(settlePlan, { minLength: 1, maxLength: 3 }) })],
    renew: [5, fc.record({ leases: fc.array(lease, { minLength: 1, maxLength: 3 }), leaseMs })],
    note: [
      12,
      fc.record({
        notes: fc.array(
          fc.record({
            lease,
            kind: mostly<NotePlan['kind']>(2, 'start', 'progress', 'log'),
            agoMs: fc.constantFrom(0, 700),
          }),
          { minLength: 1, maxLength: 3 },
        ),
      }),
    ],
    record: [
      8,
      fc.record({
        lease,
        name: fc.constantFrom('n', 'm'),
        text: fc.constantFrom('1', '2'),
        jobs: fc.array(jobPlan, { maxLength: 2 }),
      }),
    ],
    rescue: [
      18,
      fc.record({
        tasks: mostly<readonly string[]>(6, ['t', 'u'], ['u'], []),
        limit: mostly(3, 5, 1, 0),
        leaseMs,
      }),
    ],
    tend: [
      5,
      fc.record({
        queues: fc.constantFrom<readonly string[]>(['a'], ['b', 'c'], ['*'], []),
        stopped: fc.boolean(),
      }),
    ],
    ...Object.fromEntries(
      (['cancel', 'retry', 'remove', 'take'] as const).map((kind) => [
        kind,
        [
          { cancel: 10, retry: 12, remove: 3, take: 3 }[kind],
          fc.record({
            picks: fc.array(fc.record({ number, fits: mostly(4, true, false) }), {
              minLength: 1,
              maxLength: 2,
            }),
          }),
        ] as const,
      ]),
    ),
    prune: [3, fc.record({ limit: mostly(2, 100, 1, 2), cap: mostly(2, 100, 3, 0) })],
    pause: [2, fc.record({ queue })],
    resume: [4, fc.record({ queue })],
    list: [
      3,
      fc.record({
        filter: fc.record({
          states: seldom(
            2,
            fc.constantFrom<readonly JobState[]>(
              ['ready', 'running'],
              ['blocked', 'scheduled'],
              ['completed', 'failed', 'cancelled', 'discarded'],
            ),
          ),
          task: seldom(4, task),
          queue: seldom(4, queue),
          uniqueKey: seldom(6, key),
          group: seldom(6, label),
          tag: seldom(6, label),
          finished: mostly(5, false, true),
        }),
        limit: fc.constantFrom(2, 7, 100),
      }),
    ],
    putRecords: [
      5,
      fc.record({
        writes: fc.uniqueArray(
          fc.record({
            key: recordKey,
            text,
            if: mostly<WritePlan['if']>(2, 'anything', 'what it holds', 'something else'),
          }),
          { selector: ({ key: one }) => one, minLength: 1, maxLength: 2 },
        ),
      }),
    ],
    listRecords: [
      2,
      fc.record({
        prefix: fc.constantFrom('', 'at:', 'by:', 'c'),
        after: seldom(3, recordKey),
        limit: fc.constantFrom(1, 100),
      }),
    ],
    logs: [2, fc.record({ pick: fc.record({ number, fits: fc.boolean() }) })],
    recorded: [2, fc.record({ pick: fc.record({ number, fits: fc.boolean() }) })],
    queues: [1, fc.record({})],
    workers: [1, fc.record({})],
  }).map(([kind, [weight, fields]]) => ({
    weight,
    arbitrary: fields.map((one) => ({ kind, ...one }) as What),
  })),
)

const command: fc.Arbitrary<Command> = fc.record({
  client: fc.nat(clients - 1),
  waitMs: mostly(
    20,
    0,
    1,
    1_000,
    1_000,
    1_000,
    leasesMs,
    leasesMs + 1,
    leasesMs + 1,
    61_000,
    3_600_000,
  ),
  together: mostly(7, false, true),
  what,
})

/** Lists of that many commands; a shorter one shows as commands that do nothing. */
export function commandLists(length: number): fc.Arbitrary<readonly Command[]> {
  return fc.array(command, { minLength: length, maxLength: length })
}

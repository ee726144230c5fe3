import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { constant, type CustomBackoff } from './backoff.ts'
import { decide, overdue, type Decision, type Facts, type Outcome } from './decide.ts'
import { longestMs } from './duration.ts'
import { noCounters, type Counters } from './job.ts'
import { defaultPolicy, type Policy } from './options.ts'

const policy: Policy = {
  ...defaultPolicy,
  retryLimit: 5,
  backoff: constant(7_000),
  keepMs: { completed: 1, failed: 2, cancelled: 3, discarded: 4 },
}
const now = 1_000_000
const error = new Error('oops')

interface Given {
  readonly outcome: Outcome
  readonly counters?: Partial<Counters>
  readonly policy?: Partial<Policy>
  readonly deadlineAt?: number
  readonly startBy?: number
  readonly started?: boolean
  readonly random?: number
}

function decideFor(given: Given): Decision {
  const facts: Facts = {
    id: 'id',
    task: 'task',
    queue: 'queue',
    counters: { ...noCounters, ...given.counters },
    deadlineAt: given.deadlineAt ?? null,
    startBy: given.startBy ?? null,
    started: given.started ?? true,
  }
  return decide(
    facts,
    given.outcome,
    { ...policy, ...given.policy },
    now,
    () => given.random ?? 0.5,
  )
}

const failed: Outcome = { kind: 'failed', error, reason: 'error' }
const lost: Outcome = { kind: 'lost' }

/** One row: what is given, and the parts of the decision that it must have. */
type Row = readonly [
  rule: string,
  given: Given,
  decision:
    | Partial<Extract<Decision, { kind: 'finish' }>>
    | Partial<Extract<Decision, { kind: 'requeue' }>>,
  counted?: Partial<Counters>,
]

const table: readonly Row[] = [
  [
    'a return completes',
    { outcome: { kind: 'completed' } },
    { kind: 'finish', state: 'completed', reason: null, keepMs: 1, yieldsToCancel: false },
    { attempts: 1 },
  ],
  [
    'a discard ends as discarded',
    { outcome: { kind: 'discarded', reason: 'nah' } },
    { kind: 'finish', state: 'discarded', reason: 'nah', keepMs: 4, yieldsToCancel: false },
    { attempts: 1 },
  ],
  [
    'a cancel that wins ends as cancelled',
    { outcome: { kind: 'cancelled' } },
    { kind: 'finish', state: 'cancelled', keepMs: 3, yieldsToCancel: false },
    { attempts: 1 },
  ],
  [
    'a cancel before the start counts no attempt',
    { outcome: { kind: 'cancelled' }, started: false },
    { kind: 'finish', state: 'cancelled' },
    {},
  ],

  [
    'a throw is retried after its backoff',
    { outcome: failed },
    {
      kind: 'requeue',
      delayMs: 7_000,
      place: 'due',
      started: true,
      suspect: false,
      yieldsToCancel: true,
    },
    { attempts: 1, failures: 1 },
  ],
  [
    'a timeout is retried like a throw',
    { outcome: { kind: 'failed', error, reason: 'timeout' } },
    { kind: 'requeue', delayMs: 7_000 },
    { attempts: 1, failures: 1 },
  ],
  [
    'the last retry is within the limit',
    { outcome: failed, counters: { failures: 4 } },
    { kind: 'requeue' },
    { attempts: 1, failures: 5 },
  ],
  [
    'a throw beyond the limit fails',
    { outcome: failed, counters: { failures: 5 } },
    { kind: 'finish', state: 'failed', reason: 'error', keepMs: 2, yieldsToCancel: true },
    { attempts: 1, failures: 6 },
  ],
  [
    'a timeout beyond the limit fails as timeout',
    { outcome: { kind: 'failed', error, reason: 'timeout' }, counters: { failures: 5 } },
    { kind: 'finish', state: 'failed', reason: 'timeout' },
  ],
  [
    'an interrupted job that is put back waits behind others, and burns nothing',
    { outcome: { kind: 'interrupted', delayMs: 30_000 } },
    { kind: 'requeue', delayMs: 30_000, place: 'due', started: true },
    { interruptions: 1 },
  ],
  [
    'a job whose calls have changed fails at once',
    { outcome: { kind: 'unrecoverable', error, reason: 'call-changed' } },
    { kind: 'finish', state: 'failed', reason: 'call-changed' },
    { attempts: 1, failures: 1 },
  ],
  [
    'a job that waited for another when it was lost burns no loss, and is claimed alone',
    { outcome: { kind: 'lost', waited: true }, counters: { losses: 3 } },
    { kind: 'requeue', delayMs: 0, started: true, suspect: true },
    { losses: 3, interruptions: 1 },
  ],
  [
    'a job that may begin once is lost even if it waited',
    { outcome: { kind: 'lost', waited: true }, policy: { losses: 0 } },
    { kind: 'finish', state: 'failed', reason: 'lost' },
  ],
  [
    'an attempt that was not committed fails so',
    { outcome: { kind: 'failed', error, reason: 'not-committed' }, policy: { retryLimit: 0 } },
    { kind: 'finish', state: 'failed', reason: 'not-committed' },
  ],
  [
    'a limit of none retries for ever',
    { outcome: failed, counters: { failures: 9_999 }, policy: { retryLimit: null } },
    { kind: 'requeue' },
  ],
  [
    'postpones, losses and interruptions use up no retries',
    { outcome: failed, counters: { postpones: 9, losses: 2, interruptions: 9, attempts: 9 } },
    { kind: 'requeue' },
    { attempts: 10, failures: 1, postpones: 9, losses: 2, interruptions: 9 },
  ],
  [
    'an error that is not to be retried fails at once',
    { outcome: failed, policy: { retryWhen: (e) => e !== error } },
    { kind: 'finish', state: 'failed', reason: 'error' },
  ],
  [
    'a predicate that throws forbids nothing',
    { outcome: failed, policy: { retryWhen: () => assert.fail() } },
    { kind: 'requeue' },
  ],

  [
    'a custom backoff decides',
    { outcome: failed, policy: { backoff: () => '3s' } },
    { kind: 'requeue', delayMs: 3_000 },
  ],
  [
    'a custom backoff can fail the job',
    { outcome: failed, policy: { backoff: () => 'fail' } },
    { kind: 'finish', state: 'failed', reason: 'error' },
  ],
  [
    'a custom backoff can discard the job',
    { outcome: failed, policy: { backoff: () => 'discard' } },
    { kind: 'finish', state: 'discarded', reason: 'error', keepMs: 4 },
  ],
  [
    'a custom backoff that throws leaves it to the default',
    { outcome: failed, policy: { backoff: () => assert.fail() } },
    { kind: 'requeue', delayMs: 2_500 },
  ],
  [
    'a custom backoff that answers nonsense leaves it to the default',
    { outcome: failed, policy: { backoff: (() => 'soon') as unknown as CustomBackoff } },
    { kind: 'requeue', delayMs: 2_500 },
  ],
  ...[-1, NaN, -Infinity, null, true, '-5s', undefined].map((answer): Row => [
    `a custom backoff that answers ${String(answer)} leaves it to the default`,
    { outcome: failed, policy: { backoff: (() => answer) as unknown as CustomBackoff } },
    { kind: 'requeue', delayMs: 2_500 },
  ]),
  ...[1e18, Infinity, '300000y', longestMs + 1].map((answer): Row => [
    `a custom backoff that answers ${answer} is cut to 100 years`,
    { outcome: failed, policy: { backoff: (() => answer) as unknown as CustomBackoff } },
    { kind: 'requeue', delayMs: longestMs },
  ]),
  [
    'a stored backoff beyond 100 years is cut to that',
    { outcome: failed, policy: { backoff: { kind: 'constant', delayMs: 1e300 } } },
    { kind: 'requeue', delayMs: longestMs },
  ],
  [
    'a stored retention beyond 100 years is cut to that',
    {
      outcome: { kind: 'completed' },
      policy: { keepMs: { completed: 1e300, failed: 1, cancelled: 1, discarded: 1 } },
    },
    { kind: 'finish', state: 'completed', keepMs: longestMs },
  ],
  [
    'a stored delay of postponements beyond 100 years is cut to that',
    { outcome: { kind: 'postponed', delayMs: null }, policy: { postponeDelayMs: 1e300 } },
    { kind: 'requeue', delayMs: longestMs },
  ],
  [
    'a job that cannot be read is failed, nothing counted, whatever was asked of it',
    { outcome: { kind: 'unreadable' } },
    { kind: 'finish', state: 'failed', reason: 'unreadable', yieldsToCancel: false },
    {},
  ],

  [
    'RetryAfter sets the delay',
    { outcome: { kind: 'retry-after', error, delayMs: 30 } },
    { kind: 'requeue', delayMs: 30, place: 'due', started: true },
    { attempts: 1, failures: 1 },
  ],
  [
    'RetryAfter is bound by the limit',
    { outcome: { kind: 'retry-after', error, delayMs: 30 }, counters: { failures: 5 } },
    { kind: 'finish', state: 'failed', reason: 'error' },
  ],
  [
    'RetryAfter is a retry whatever errors are retried by themselves',
    {
      outcome: { kind: 'retry-after', error, delayMs: 30 },
      policy: { retryWhen: () => false },
    },
    { kind: 'requeue', delayMs: 30 },
    { attempts: 1, failures: 1 },
  ],
  [
    'a retry that ends before the deadline runs',
    { outcome: failed, deadlineAt: now + 7_001 },
    { kind: 'requeue', delayMs: 7_000 },
  ],
  [
    'a retry that could only start too late is none',
    { outcome: failed, deadlineAt: now + 7_000 },
    { kind: 'finish', state: 'failed', reason: 'error' },
  ],
  [
    'Unrecoverable fails whatever is left',
    { outcome: { kind: 'unrecoverable', error, reason: 'error' } },
    { kind: 'finish', state: 'failed', reason: 'error', yieldsToCancel: true },
    { attempts: 1, failures: 1 },
  ],
  [
    'an invalid input fails at once',
    { outcome: { kind: 'unrecoverable', error, reason: 'invalid-input' } },
    { kind: 'finish', state: 'failed', reason: 'invalid-input' },
  ],
  [
    'an invalid output fails at once',
    { outcome: { kind: 'unrecoverable', error, reason: 'invalid-output' } },
    { kind: 'finish', state: 'failed', reason: 'invalid-output' },
  ],

  [
    'a postponement runs the same job again and burns no attempt',
    { outcome: { kind: 'postponed', delayMs: null } },
    { kind: 'requeue', delayMs: 5_000, place: 'due', started: true, suspect: false },
    { postpones: 1 },
  ],
  [
    'a postponement may set its delay',
    { outcome: { kind: 'postponed', delayMs: 9 } },
    { kind: 'requeue', delayMs: 9 },
  ],
  [
    'the last postponement is within the limit',
    { outcome: { kind: 'postponed', delayMs: null }, counters: { postpones: 14 } },
    { kind: 'requeue' },
    { postpones: 15 },
  ],
  [
    'a postponement beyond the limit fails',
    { outcome: { kind: 'postponed', delayMs: null }, counters: { postpones: 15 } },
    { kind: 'finish', state: 'failed', reason: 'postpone-limit' },
    { postpones: 16 },
  ],
  [
    'a postpone limit of none holds for ever',
    {
      outcome: { kind: 'postponed', delayMs: null },
      counters: { postpones: 999 },
      policy: { postponeLimit: null },
    },
    { kind: 'requeue' },
  ],

  [
    'a loss before the start counts nothing, but the job is watched',
    { outcome: lost, started: false },
    { kind: 'requeue', delayMs: 0, place: 'keep', started: false, suspect: true },
    {},
  ],
  [
    'a loss after the start counts as one and waits a little',
    { outcome: lost },
    { kind: 'requeue', delayMs: 1_000, place: 'keep', started: true, suspect: true },
    { attempts: 1, losses: 1 },
  ],
  [
    'the wait after a loss doubles',
    { outcome: lost, counters: { losses: 2 } },
    { kind: 'requeue', delayMs: 4_000 },
    { attempts: 1, losses: 3 },
  ],
  [
    'the wait after a loss is bounded',
    { outcome: lost, counters: { losses: 40 }, policy: { losses: null } },
    { kind: 'requeue', delayMs: 15_000 },
  ],
  [
    'a loss beyond the limit is poison',
    { outcome: lost, counters: { losses: 3 } },
    { kind: 'finish', state: 'failed', reason: 'poison', yieldsToCancel: true },
    { attempts: 1, losses: 4 },
  ],
  [
    'losses 0 is at most once',
    { outcome: lost, policy: { losses: 0 } },
    { kind: 'finish', state: 'failed', reason: 'lost' },
    { attempts: 1, losses: 1 },
  ],
  [
    'losses 0 lets a run that never began go again',
    { outcome: lost, started: false, policy: { losses: 0 } },
    { kind: 'requeue' },
    {},
  ],

  [
    'an interruption burns no attempt and keeps its place',
    { outcome: { kind: 'interrupted' } },
    { kind: 'requeue', delayMs: 0, place: 'keep', suspect: false },
    { interruptions: 1 },
  ],
  [
    'a job given back unstarted counts nothing and keeps its place',
    { outcome: { kind: 'unstarted' }, started: false },
    { kind: 'requeue', delayMs: 0, place: 'keep', started: false, suspect: false },
    {},
  ],
  [
    'an unknown task is put aside for a second',
    { outcome: { kind: 'unknown' }, started: false },
    { kind: 'requeue', delayMs: 1_000, place: 'keep', started: false, suspect: false },
    { deferrals: 1 },
  ],
  [
    'an unknown task is put aside for twice as long each time',
    { outcome: { kind: 'unknown' }, started: false, counters: { deferrals: 5 } },
    { kind: 'requeue', delayMs: 32_000 },
    { deferrals: 6 },
  ],
  [
    'an unknown task that must start soon is put aside for half of what is left',
    {
      outcome: { kind: 'unknown' },
      started: false,
      counters: { deferrals: 5 },
      startBy: now + 10_000,
      deadlineAt: now + 60_000,
    },
    { kind: 'requeue', delayMs: 5_000 },
    { deferrals: 6 },
  ],
  [
    'an unknown task is put aside for half of what is left to its deadline, and for no less than a second',
    {
      outcome: { kind: 'unknown' },
      started: false,
      counters: { deferrals: 5 },
      deadlineAt: now + 1_200,
    },
    { kind: 'requeue', delayMs: 1_000 },
    { deferrals: 6 },
  ],
  [
    'an unknown task whose time is over is no hurry any more',
    {
      outcome: { kind: 'unknown' },
      started: false,
      counters: { deferrals: 5 },
      deadlineAt: now - 1,
    },
    { kind: 'requeue', delayMs: 32_000 },
    { deferrals: 6 },
  ],
  [
    'an unknown task is put aside for five minutes at most',
    { outcome: { kind: 'unknown' }, started: false, counters: { deferrals: 60 } },
    { kind: 'requeue', delayMs: 300_000 },
    { deferrals: 61 },
  ],
  [
    'a job that started too late fails without an attempt',
    { outcome: { kind: 'overdue', reason: 'start-within' }, started: false },
    { kind: 'finish', state: 'failed', reason: 'start-within', yieldsToCancel: true },
    {},
  ],
  [
    'a job beyond its deadline fails without an attempt',
    { outcome: { kind: 'overdue', reason: 'deadline' }, started: false },
    { kind: 'finish', state: 'failed', reason: 'deadline' },
    {},
  ],
]

describe('what becomes of a job', () => {
  for (const [rule, given, expected, counted] of table) {
    it(rule, () => {
      const decision = decideFor(given)
      assert.deepEqual({ ...decision, ...expected }, decision)
      if (counted !== undefined)
        assert.deepEqual(decision.counters, { ...noCounters, ...given.counters, ...counted })
    })
  }

  it('the backoff is told of the job and its failure', () => {
    const seen: unknown[] = []
    const backoff: CustomBackoff = (...args) => (seen.push(...args), 1)
    decideFor({ outcome: failed, counters: { attempts: 3, failures: 2 }, policy: { backoff } })
    assert.deepEqual(seen, [
      error,
      { id: 'id', task: 'task', queue: 'queue', attempt: 4, failures: 3 },
    ])
  })

  it('no counter ever falls, and every delay is a bounded whole number', () => {
    const outcomes: readonly Outcome[] = table.map(([, { outcome }]) => outcome)
    const count = fc.nat({ max: 100 })
    const counters = fc.record({
      attempts: count,
      failures: count,
      postpones: count,
      losses: count,
      interruptions: count,
      deferrals: count,
    })
    fc.assert(
      fc.property(
        fc.constantFrom(...outcomes),
        counters,
        fc.boolean(),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (outcome, before, started, random) => {
          const decision = decideFor({ outcome, counters: before, started, random })
          for (const [name, value] of Object.entries(decision.counters)) {
            const old = before[name as keyof Counters]
            assert.ok(value === old || value === old + 1, name)
          }
          if (decision.kind === 'requeue')
            assert.ok(
              Number.isInteger(decision.delayMs) &&
                decision.delayMs >= 0 &&
                decision.delayMs <= 3_600_000,
            )
        },
      ),
    )
  })
})

describe('a waiting job', () => {
  it('is overdue once the time for its first start or its deadline has come', () => {
    assert.equal(overdue({ startBy: null, deadlineAt: null }, now), null)
    assert.equal(overdue({ startBy: now + 1, deadlineAt: now + 1 }, now), null)
    assert.equal(overdue({ startBy: now, deadlineAt: null }, now), 'start-within')
    assert.equal(overdue({ startBy: null, deadlineAt: now }, now), 'deadline')
    assert.equal(overdue({ startBy: now, deadlineAt: now }, now), 'start-within')
  })
})

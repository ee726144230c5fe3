import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { constant, exponential, linear } from './backoff.ts'
import { longestMs } from './duration.ts'
import { defaultPolicy, normalise, resolve, type CommonOptions, type Policy } from './options.ts'

interface Option {
  readonly name: string
  /** Values for call, task, queue and app, in this order, with what each is in a policy. */
  readonly given: readonly [CommonOptions, CommonOptions, CommonOptions, CommonOptions]
  readonly expected: readonly [unknown, unknown, unknown, unknown]
  readonly read: (policy: Policy) => unknown
}

const retryOnA = (): boolean => true
const retryOnB = (): boolean => false

const options: readonly Option[] = [
  {
    name: 'priority',
    given: [{ priority: -1000 }, { priority: 0 }, { priority: 7 }, { priority: 1000 }],
    expected: [-1000, 0, 7, 1000],
    read: (policy) => policy.priority,
  },
  {
    name: 'retry.limit',
    given: [{ retry: { limit: 5 } }, { retry: 'never' }, { retry: 'once' }, { retry: 'always' }],
    expected: [5, 0, 1, null],
    read: (policy) => policy.retryLimit,
  },
  {
    name: 'retry.backoff',
    given: [
      { retry: { backoff: constant(1) } },
      { retry: { backoff: linear(2) } },
      { retry: { backoff: exponential() } },
      { retry: { backoff: constant(4) } },
    ],
    expected: [constant(1), linear(2), exponential(), constant(4)],
    read: (policy) => policy.backoff,
  },
  {
    name: 'retry.when',
    given: [
      { retry: { when: retryOnA } },
      { retry: { when: retryOnB } },
      { retry: { when: retryOnA } },
      { retry: { when: retryOnB } },
    ],
    expected: [retryOnA, retryOnB, retryOnA, retryOnB],
    read: (policy) => policy.retryWhen,
  },
  {
    name: 'postpone.limit',
    given: [
      { postpone: { limit: 1 } },
      { postpone: { limit: 0 } },
      { postpone: { limit: 'none' } },
      { postpone: { limit: 4 } },
    ],
    expected: [1, 0, null, 4],
    read: (policy) => policy.postponeLimit,
  },
  {
    name: 'postpone.delay',
    given: [
      { postpone: { delay: '1s' } },
      { postpone: { delay: 0 } },
      { postpone: { delay: '3s' } },
      { postpone: { delay: '4s' } },
    ],
    expected: [1_000, 0, 3_000, 4_000],
    read: (policy) => policy.postponeDelayMs,
  },
  ...(['timeout', 'startWithin', 'deadline'] as const).map((name): Option => ({
    name,
    given: [{ [name]: '1s' }, { [name]: 'none' }, { [name]: '3s' }, { [name]: 4 }],
    expected: [1_000, null, 3_000, 4],
    read: (policy) => policy[`${name}Ms`],
  })),
  {
    name: 'losses',
    given: [{ losses: 0 }, { losses: 'none' }, { losses: 2 }, { losses: 9 }],
    expected: [0, null, 2, 9],
    read: (policy) => policy.losses,
  },
  ...(['completed', 'failed', 'cancelled', 'discarded'] as const).map((state): Option => ({
    name: `retention.${state}`,
    given: [
      { retention: 'none' },
      { retention: { [state]: 'forever' } },
      { retention: '3s' },
      { retention: { [state]: '4s' } },
    ],
    expected: [0, null, 3_000, 4_000],
    read: (policy) => policy.keepMs[state],
  })),
]

describe('the options of a job', () => {
  for (const { name, given, expected, read } of options) {
    it(`resolve ${name} call over task over queue over app over default`, () => {
      const layers = given.map((one, i) => normalise(one, `level ${i}`))
      for (let nearest = 0; nearest < layers.length; nearest++) {
        const levels = layers.map((layer, i) => (i < nearest ? undefined : layer))
        assert.deepEqual(read(resolve(...levels)), expected[nearest], `level ${nearest}`)
      }
      assert.deepEqual(read(resolve(null, {}, undefined, {})), read(defaultPolicy))
    })
  }

  it('are resolved field by field, within retry, postpone and retention too', () => {
    const call = normalise({ retry: { limit: 2 }, retention: { failed: '1s' } }, 'call')
    const task = normalise(
      { retry: { backoff: constant(5) }, postpone: { limit: 1 }, retention: { completed: 'none' } },
      'task',
    )
    const app = normalise({ postpone: { delay: 7 }, retention: '9s' }, 'app')
    const policy = resolve(call, task, app)
    assert.equal(policy.retryLimit, 2)
    assert.deepEqual(policy.backoff, constant(5))
    assert.deepEqual([policy.postponeLimit, policy.postponeDelayMs], [1, 7])
    assert.deepEqual(policy.keepMs, {
      completed: 0,
      failed: 1_000,
      cancelled: 9_000,
      discarded: 9_000,
    })
  })

  it('are these where nothing is said', () => {
    const { backoff, retryWhen, ...rest } = resolve()
    assert.deepEqual(rest, {
      priority: 0,
      ageingMs: null,
      retryLimit: 10,
      postponeLimit: 15,
      postponeDelayMs: 5_000,
      timeoutMs: 600_000,
      startWithinMs: null,
      deadlineMs: null,
      losses: 3,
      keepMs: {
        completed: 86_400_000,
        failed: 1_209_600_000,
        cancelled: 86_400_000,
        discarded: 86_400_000,
      },
    })
    assert.deepEqual(backoff, exponential())
    assert.equal(
      retryWhen(new Error('any'), { id: '', task: '', queue: '', attempt: 1, failures: 1 }),
      true,
    )
  })

  it('take classes of errors for a predicate', () => {
    const { retryWhen } = resolve(normalise({ retry: { when: [TypeError, RangeError] } }, 'x'))
    const job = { id: '', task: '', queue: '', attempt: 1, failures: 1 }
    assert.equal(retryWhen(new RangeError(), job), true)
    assert.equal(retryWhen(new Error(), job), false)
  })

  it('that cannot be are refused, each with its place', () => {
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ priority: 1001 }, /x\.priority must be a whole number/],
      [{ priority: 1.5 }, /x\.priority/],
      [{ retry: 'twice' }, /x\.retry must be 'never'/],
      [{ retry: { limit: -1 } }, /x\.retry\.limit/],
      [{ retry: { limit: 1.5 } }, /x\.retry\.limit/],
      [{ retry: { backoff: 5 } }, /x\.retry\.backoff/],
      [{ retry: { backoff: { kind: 'cubic' } } }, /x\.retry\.backoff/],
      [{ retry: { backoff: { kind: 'exponential', first: '1s' } } }, /x\.retry\.backoff/],
      [{ retry: { backoff: { kind: 'constant', delayMs: 1e300 } } }, /x\.retry\.backoff/],
      [{ priority: 2 ** 53 }, /x\.priority/],
      [{ priority: NaN }, /x\.priority/],
      [{ retry: { limit: 2 ** 53 } }, /x\.retry\.limit/],
      [{ retry: { limit: Infinity } }, /x\.retry\.limit/],
      [{ postpone: { limit: NaN } }, /x\.postpone\.limit/],
      [{ losses: 1e300 }, /x\.losses/],
      [{ postpone: { delay: '101y' } }, /x\.postpone\.delay/],
      [{ timeout: 2 ** 53 }, /x\.timeout/],
      [{ startWithin: '101y' }, /x\.startWithin/],
      [{ deadline: Infinity }, /x\.deadline/],
      [{ retention: '101y' }, /x\.retention/],
      [{ retention: { cancelled: 1e300 } }, /x\.retention\.cancelled/],
      [{ retry: { when: [] } }, /x\.retry\.when/],
      [{ retry: { whn: retryOnA } }, /Did you mean when\?/],
      [{ postpone: { limit: 'all' } }, /x\.postpone\.limit/],
      [{ postpone: { wait: 1 } }, /x\.postpone has no option wait/],
      [{ timeout: 'soon' }, /x\.timeout/],
      [{ deadline: -1 }, /x\.deadline/],
      [{ losses: 0.5 }, /x\.losses/],
      [{ retention: { done: '1h' } }, /x\.retention has no option done/],
      [{ retention: { failed: 'long' } }, /x\.retention\.failed/],
      [{ retrys: 3 }, /Did you mean retry\?/],
    ]
    for (const [given, message] of refused)
      assert.throws(() => normalise(given, 'x'), { code: 'invalid-option', message })
  })

  it('may be as long as 100 years, and a negative zero is zero', () => {
    const { timeoutMs, priority, losses } = normalise(
      { timeout: '100y', priority: -0, losses: -0 },
      'x',
    )
    assert.equal(timeoutMs, longestMs)
    assert.ok(Object.is(priority, 0) && Object.is(losses, 0))
  })

  it('allow further names where a level has some', () => {
    assert.deepEqual(normalise({ slots: 5 } as CommonOptions, 'x', ['slots']), {})
    assert.throws(() => normalise({ slots: 5 } as CommonOptions, 'x'), { code: 'invalid-option' })
  })
})

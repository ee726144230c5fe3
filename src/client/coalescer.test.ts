import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrandError } from '../core/errors.ts'
import type { Inserted } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'
import { systemClock as clock } from '../stores/system-clock.ts'
import { Coalescer } from './coalescer.ts'
import { coalescerBounds } from './insert-batch.ts'

function job(id: string, change: Partial<NewJob> = {}): NewJob {
  return {
    id,
    task: 't',
    queue: 'default',
    priority: 0,
    input: 'null',
    codec: null,
    options: null,
    parent: null,
    group: null,
    tags: [],
    headers: {},
    delayMs: 0,
    runAt: null,
    startWithinMs: null,
    deadlineMs: null,
    keepCancelledMs: null,
    unique: null,
    needs: [],
    entry: null,
    ...change,
  }
}

function unique(id: string, key: string): NewJob {
  return job(id, {
    unique: { key, during: ['ready'], forMs: null, onConflict: 'skip', maxWaitMs: null },
  })
}

function created({ id }: NewJob): Inserted {
  return { id, status: 'created', token: null }
}

/** A coalescer whose batches are kept; `insert` may refuse one. */
function recording(refuse: (batch: readonly NewJob[]) => void = () => undefined): {
  readonly batches: (readonly NewJob[])[]
  readonly coalescer: Coalescer
} {
  const batches: (readonly NewJob[])[] = []
  const coalescer = new Coalescer(clock, async (batch) => {
    batches.push(batch)
    refuse(batch)
    return batch.map(created)
  })
  return { batches, coalescer }
}

const ids = (batch: readonly NewJob[] | undefined): readonly string[] =>
  (batch ?? []).map(({ id }) => id)

describe('coalescing', () => {
  it('calls of one turn travel as one insert, each with its own answer', async () => {
    const { batches, coalescer } = recording()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => coalescer.add(job(`${i}`))),
    )
    assert.equal(batches.length, 1)
    assert.deepEqual(
      answers.map(({ id }) => id),
      Array.from({ length: 100 }, (_, i) => `${i}`),
    )
  })

  it('what arrives while a batch is under way goes with the next', async () => {
    const gate = Promise.withResolvers<void>()
    const sizes: number[] = []
    const coalescer = new Coalescer(clock, async (batch) => {
      sizes.push(batch.length)
      if (sizes.length === 1) await gate.promise
      return batch.map(created)
    })
    const first = coalescer.add(job('first'))
    await new Promise(setImmediate)
    const others = Array.from({ length: 50 }, (_, i) => coalescer.add(job(`${i}`)))
    await new Promise(setImmediate)
    assert.deepEqual(sizes, [1])
    gate.resolve()
    await Promise.all([first, ...others])
    assert.deepEqual(sizes, [1, 50])
  })

  it('callers in a loop stay together in one batch', async () => {
    const { batches, coalescer } = recording()
    await Promise.all(
      Array.from({ length: 20 }, async (_, caller) => {
        for (let i = 0; i < 5; i++) await coalescer.add(job(`${caller}-${i}`))
      }),
    )
    assert.deepEqual(
      batches.map((batch) => batch.length),
      [20, 20, 20, 20, 20],
    )
  })

  it('a batch holds at most 1,000 jobs', async () => {
    const { batches, coalescer } = recording()
    await Promise.all(Array.from({ length: 2_500 }, (_, i) => coalescer.add(job(`${i}`))))
    assert.deepEqual(
      batches.map((batch) => batch.length),
      [1_000, 1_000, 500],
    )
  })

  it('a batch holds at most 4 MB of text, or one job', async () => {
    const { batches, coalescer } = recording()
    const sizes = [1_500_000, 1_500_000, 1_500_000, 5_000_000, 10]
    await Promise.all(
      sizes.map((size, i) => coalescer.add(job(`${i}`, { input: 'x'.repeat(size) }))),
    )
    assert.deepEqual(batches.map(ids), [['0', '1'], ['2'], ['3'], ['4']])
  })

  it('more than 50,000 calls at once are refused as overloaded', async () => {
    const gate = Promise.withResolvers<void>()
    const coalescer = new Coalescer(clock, async (batch) => {
      await gate.promise
      return batch.map(created)
    })
    const pending = Array.from({ length: coalescerBounds.pendingJobs }, (_, i) =>
      coalescer.add(job(`${i}`)),
    )
    await assert.rejects(coalescer.add(job('one more')), { code: 'overloaded' })
    gate.resolve()
    await Promise.all(pending)
    assert.equal((await coalescer.add(job('later'))).id, 'later')
  })

  it('unique jobs go in batches of their own, sorted by key, one key in the order of its calls', async () => {
    const { batches, coalescer } = recording()
    await Promise.all([
      coalescer.add(unique('1', 'b')),
      coalescer.add(job('2')),
      coalescer.add(unique('3', 'a')),
      coalescer.add(unique('4', 'b')),
    ])
    assert.deepEqual(batches.map(ids), [['3', '1', '4'], ['2']])
  })
})

describe('a batch that fails', () => {
  it('is halved until the job that spoils it alone gets the error', async () => {
    const { batches, coalescer } = recording((batch) => {
      if (batch.some(({ id }) => id === '37')) throw new Error('value too large')
    })
    const settled = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => coalescer.add(job(`${i}`))),
    )
    const refused = settled.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))
    assert.deepEqual(refused, [37])
    assert.ok(batches.length < 20, `${batches.length} inserts`)
  })

  for (const code of [
    'store-busy',
    'store-unavailable',
    'closed',
    'overloaded',
    'timeout',
    'unknown-outcome',
  ] as const) {
    it(`rejects all its callers at once when the store answers ${code}`, async () => {
      const { batches, coalescer } = recording(() => {
        throw new ErrandError(code, 'no')
      })
      const settled = await Promise.allSettled([coalescer.add(job('1')), coalescer.add(job('2'))])
      assert.equal(batches.length, 1)
      for (const one of settled)
        assert.equal(one.status === 'rejected' && (one.reason as ErrandError).code, code)
    })
  }

  it('tells each caller its own id when the outcome is unknown', async () => {
    const { coalescer } = recording(() => {
      throw new ErrandError('unknown-outcome', 'The connection broke.')
    })
    const settled = await Promise.allSettled([coalescer.add(job('1')), coalescer.add(job('2'))])
    const named = settled.map((one) =>
      one.status === 'rejected' ? (one.reason as ErrandError).details['id'] : null,
    )
    assert.deepEqual(named, ['1', '2'])
  })

  it('leaves the lane open for what comes next', async () => {
    let isDown = true
    const { coalescer } = recording(() => {
      if (isDown) throw new ErrandError('store-unavailable', 'down')
    })
    await assert.rejects(coalescer.add(job('1')), { code: 'store-unavailable' })
    isDown = false
    assert.equal((await coalescer.add(job('2'))).status, 'created')
  })
})

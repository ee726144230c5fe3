import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { App } from '../app/app.ts'
import { Client, leased } from '../client/client.ts'
import { task } from '../core/task.ts'
import type { Warning } from '../observe/warnings.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Settlement } from '../store/worker-calls.ts'
import { memory, MemoryDatabase } from '../stores/memory/index.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { Attempt } from './attempt.ts'
import { LeaseTable } from './lease-table.ts'
import { readRules } from './rules.ts'
import { failed, type RunResult } from './runner.ts'
import type { SettleBatches, Verdict } from './settle-batches.ts'
import { Settler, type End } from './settler.ts'

const done: RunResult = { outcome: { kind: 'completed' }, output: '1', value: 1 }

/** A settler whose settlements are given these verdicts, one after another. */
async function made(t: TestContext, ...verdicts: Verdict[]) {
  const work = task({ name: 'work', run: () => 1 })
  const store = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  t.after(() => store.close())
  const app = new App({ store, tasks: [work] }, process.cwd())
  const client = new Client(app)
  const warnings: Warning[] = []
  const outcomes: string[] = []
  app.events.on('warning', (warning) => warnings.push(warning))
  app.events.on('run-ended', ({ outcome }) => outcomes.push(outcome))
  const written: Settlement[] = []
  const batches = {
    isPatient: true,
    write: (settlement: Settlement, done: (verdict: Verdict) => void) => {
      written.push(settlement)
      const verdict = verdicts.shift() ?? assert.fail('no more than these were expected')
      setImmediate(() => done(verdict))
    },
  }
  const table = new LeaseTable()
  const settler = new Settler({
    app,
    worker: 'w',
    client,
    rulesOf: (job) => readRules(app, work.definition, job),
    table,
    batches: batches as unknown as SettleBatches,
    ticks: () => 5_000,
    time: { at: () => 5_000 },
    tellsRuns: true,
  })
  const job = leased(await client.prepare(work, undefined), 1, 0)
  const room = table.room
  const held = { job, lease: table.hold(job.id, 1, false, Infinity) }
  const attempt = (): Attempt =>
    new Attempt(
      { ...held, rules: readRules(app, work.definition, job), seat: null },
      {
        notes: { of: () => assert.fail() },
        completeIn: () => assert.fail(),
        callsOf: () => assert.fail(),
      },
    )
  const isReleased = (): boolean => table.room === room
  /** Ends an attempt whose handler came to this. */
  const end = (ended: RunResult): Promise<End> =>
    new Promise(
      (over) => void settler.end(attempt(), Promise.resolve(ended), () => undefined, over),
    )
  return { settler, job, held, attempt, end, written, warnings, outcomes, isReleased }
}

/** Waits until all verdicts are given. */
async function passed(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise(setImmediate)
}

function statesOf(written: readonly Settlement[]): readonly string[] {
  return written.map((one) => (one.kind === 'finish' ? one.state : 'requeued'))
}

test('a cancel that was asked for wins in the end, whoever has the job', async (t) => {
  const held = await made(t, 'cancel-asked', 'settled')
  held.settler.endHeld(held.held, { kind: 'unstarted' })
  await passed()
  assert.deepEqual(statesOf(held.written), ['requeued', 'cancelled'])
  assert.equal(held.isReleased(), true)

  const ran = await made(t, 'cancel-asked', 'settled')
  const outcome = { kind: 'failed', reason: 'error', error: new Error('no') } as const
  await ran.end(failed(outcome))
  assert.deepEqual(statesOf(ran.written), ['requeued', 'cancelled'])
  assert.deepEqual(ran.outcomes, ['cancelled'])

  const rescued = await made(t, 'cancel-asked', 'settled')
  const job: ClaimedJob = { ...rescued.job, why: 'lost', startedAt: 1 }
  const became = await rescued.settler.endRescued(job, { kind: 'lost' })
  assert.deepEqual(became, { why: 'lost', to: 'cancelled' })
})

test('the slot is free once the settlement is handed in, before the store has taken it', async (t) => {
  const { settler, attempt, written } = await made(t, 'settled')
  const order: string[] = []
  const free = (): void =>
    void order.push(`free, ${written.length} written, ${settler.pending} pending`)
  await new Promise((over) => void settler.end(attempt(), Promise.resolve(done), free, over))
  order.push(`over, ${settler.pending} pending`)
  assert.deepEqual(order, ['free, 1 written, 1 pending', 'over, 0 pending'])
})

test('what the store can never take fails its job without what it carried, and else leaves it to its lease, with a warning', async (t) => {
  const refused = { refused: new Error('too much') }
  const once = await made(t, refused, 'settled')
  await once.end(done)
  assert.deepEqual(statesOf(once.written), ['completed', 'failed'])
  assert.deepEqual(once.warnings, [])

  const twice = await made(t, refused, refused)
  const end = await twice.end(done)
  assert.equal(end.kind, 'refused')
  assert.deepEqual(
    twice.warnings.map(({ code }) => code),
    ['settlement-refused'],
  )
  assert.equal(twice.isReleased(), true)

  const held = await made(t, refused)
  held.settler.endHeld(held.held, { kind: 'unstarted' })
  await passed()
  assert.equal(held.warnings[0]?.code, 'settlement-refused')

  const rescued = await made(t, refused)
  await assert.rejects(rescued.settler.endRescued(rescued.job, { kind: 'lost' }), refused.refused)
})

test("a rescued job that is someone else's by now came to nothing here", async (t) => {
  const { settler, job } = await made(t, 'stale')
  assert.equal(await settler.endRescued({ ...job, why: 'lost' }, { kind: 'lost' }), null)
})

test('an attempt that was given up settles nothing when its handler ends', async (t) => {
  const { settler, attempt, written } = await made(t)
  const left = attempt()
  left.leave()
  const never = (): void => assert.fail()
  await settler.end(left, Promise.resolve(done), never, never)
  assert.deepEqual(written, [])
})

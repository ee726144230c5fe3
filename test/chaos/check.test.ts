import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followUpId } from '../../src/core/id.ts'
import { noCounters } from '../../src/core/job.ts'
import type { StoredJob } from '../../src/store/job.ts'
import { check } from './check.ts'
import { historyOf } from './history.ts'
import type { Entry, Line } from './ledger.ts'

const id = '01a2011e-8937-7090-afc2-8e95a5908267'
const otherId = '01a2011e-8937-7090-afc2-8e95a5908268'
const key = 'producer-1-0'

/** What a run left behind; tests bend it. */
interface Evidence {
  lines: Line[]
  jobs: StoredJob[]
}

/** A chain that was run by one worker after another one had lost it. */
function cleanRun(): Evidence {
  const link = job({
    id: followUpId(id, 3, 'success-task-0'),
    task: 'link',
    parent: id,
    token: 4,
  })
  const leaf = job({
    id: followUpId(link.id, 4, 'success-task-0'),
    task: 'leaf',
    parent: link.id,
    token: 5,
  })
  return {
    lines: [
      line('producer-1', { kind: 'intent', key, task: 'chain' }),
      line('producer-1', { kind: 'ack', key, id, status: 'created' }),
      ...run('worker-1', 1),
      line('worker-2', { kind: 'handed', id, token: 2, why: 'lost', askedAt: 2 }),
      line('worker-2', { kind: 'verdict', id, token: 2, decision: 'requeue', answer: 'settled' }),
      ...run('worker-2', 3),
      line('worker-2', { kind: 'verdict', id, token: 3, decision: 'completed', answer: 'settled' }),
      line('worker-1', { kind: 'verdict', id, token: 1, decision: 'completed', answer: 'stale' }),
    ],
    jobs: [job({ id, task: 'chain', token: 3 }), link, leaf],
  }
}

function run(worker: string, token: number): readonly Line[] {
  return [
    line(worker, { kind: 'handed', id, token, why: 'ready', askedAt: token }),
    line(worker, { kind: 'start', id, task: 'chain', token, attempt: 1 }),
    line(worker, { kind: 'end', id, token, how: 'returns' }),
  ]
}

function line(by: string, entry: Entry): Line {
  return { at: 'askedAt' in entry ? entry.askedAt : 0, by, ...entry }
}

function job(given: Partial<StoredJob> & { id: string; task: string }): StoredJob {
  return {
    queue: 'default',
    state: 'completed',
    priority: 0,
    input: JSON.stringify({ key, ms: 1, heeds: false }),
    codec: null,
    options: null,
    parent: null,
    group: null,
    tags: [],
    headers: {},
    uniqueKey: null,
    createdAt: 1,
    dueAt: 1,
    startBy: null,
    deadlineAt: null,
    counters: { ...noCounters, attempts: 1 },
    token: 1,
    worker: 'worker-1',
    leaseUntil: null,
    startedAt: 2,
    finishedAt: 3,
    expiresAt: null,
    cancelAsked: false,
    progress: null,
    attempts: [],
    output: null,
    reason: null,
    ...given,
  }
}

function rulesBrokenBy({ lines, jobs }: Evidence): readonly string[] {
  return [...new Set(check(historyOf(lines, jobs)).map(({ rule }) => rule))]
}

test('a clean run breaks no rule', () => {
  assert.deepEqual(rulesBrokenBy(cleanRun()), [])
})

/** For each rule, what breaks it. */
const offences: Readonly<Record<string, (evidence: Evidence) => void>> = {
  'an acknowledged job is known': ({ lines }) => {
    lines.push(line('producer-1', { kind: 'intent', key: 'k', task: 'plain' }))
    lines.push(line('producer-1', { kind: 'ack', key: 'k', id: otherId, status: 'created' }))
  },
  'a call becomes one job at most, and no job comes from nowhere': ({ jobs }) => {
    jobs.push(job({ id: otherId, task: 'plain' }))
  },
  'the store lists a job once': ({ jobs }) => {
    jobs.push(jobs.at(-1)!)
  },
  'every job is final in the end': ({ jobs }) => {
    jobs.push({ ...jobs.pop()!, state: 'scheduled' })
  },
  'a job that anybody heard of is known': ({ lines }) => {
    lines.push(
      line('worker-1', { kind: 'start', id: otherId, task: 'plain', token: 1, attempt: 1 }),
    )
  },
  'a job ends once, as the store says': ({ lines }) => {
    lines.push(
      line('worker-1', { kind: 'verdict', id, token: 1, decision: 'completed', answer: 'settled' }),
    )
  },
  'one lease settles once': ({ lines }) => {
    lines.push(
      line('worker-2', { kind: 'verdict', id, token: 3, decision: 'requeue', answer: 'settled' }),
    )
  },
  'no job is handed out after its end': ({ lines }) => {
    lines.push(line('worker-1', { kind: 'handed', id, token: 9, why: 'ready', askedAt: 9 }))
  },
  'the tokens of a job only grow': ({ lines }) => {
    lines.push(line('worker-1', { kind: 'handed', id, token: 3, why: 'ready', askedAt: 9 }))
  },
  'a handler starts once under a lease of its own process': ({ lines }) => {
    lines.push(line('worker-1', { kind: 'start', id, task: 'chain', token: 1, attempt: 1 }))
  },
  'an at-most-once job starts again only after its handler has ended': (evidence) => {
    evidence.jobs = [job({ id, task: 'once', token: 3 })]
    evidence.lines = evidence.lines.filter(({ kind }) => kind !== 'end')
  },
  'follow-ups exist exactly once, for accepted ends only': ({ jobs }) => {
    jobs.push(job({ id: followUpId(id, 1, 'success-task-0'), task: 'link', parent: id }))
  },
  'a unique key has one holder at a time': ({ jobs }) => {
    jobs.push(job({ id: otherId, task: 'only', uniqueKey: 'u', createdAt: 5, finishedAt: 9 }))
    jobs.push(job({ id: key, task: 'only', uniqueKey: 'u', createdAt: 8, finishedAt: 12 }))
  },
  'a cancelled job stays cancelled': ({ lines }) => {
    lines.push(line('producer-1', { kind: 'cancel', id, answer: 'cancelled' }))
  },
  'no process ends by itself': ({ lines }) => {
    lines.push(line('director', { kind: 'died', process: 'worker-1', how: 'by SIGSEGV' }))
  },
}

for (const [rule, commit] of Object.entries(offences)) {
  test(`the check sees when this does not hold: ${rule}`, () => {
    const evidence = cleanRun()
    commit(evidence)
    assert.ok(rulesBrokenBy(evidence).includes(rule), rulesBrokenBy(evidence).join('\n'))
  })
}

test('the check misses a completed job, unless its task keeps none', () => {
  const { lines } = cleanRun()
  const missing = 'an acknowledged job is known'
  assert.ok(rulesBrokenBy({ lines, jobs: [] }).includes(missing))
  const brief = lines.map((one) => ('task' in one ? { ...one, task: 'brief' } : one))
  assert.deepEqual(rulesBrokenBy({ lines: brief, jobs: [] }), [])
})

test('the check sees a follow-up that is missing, and one of a job that did not complete', () => {
  const { lines, jobs } = cleanRun()
  const rule = 'follow-ups exist exactly once, for accepted ends only'
  assert.deepEqual(rulesBrokenBy({ lines, jobs: jobs.slice(0, 2) }), [rule])
  const failed = jobs.map((one) =>
    one.task === 'link' ? { ...one, state: 'failed' as const } : one,
  )
  assert.deepEqual(rulesBrokenBy({ lines, jobs: failed }), [rule])
})

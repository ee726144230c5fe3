/** Processes killed between any two calls, and in the middle of them: what was acknowledged is there, once. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { v7 } from 'uuid'
import type { ClaimedJob } from '../../store/job.ts'
import type { SettleAnswer } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  newJob,
  unique,
} from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

const kills = 25
const [role, childFile, childLedger, childCalls] = process.argv.slice(2)
if (role === 'work' && childFile && childLedger)
  await work(childFile, childLedger, Number(childCalls))
else defineTests()

/**
 * A child: inserts, claims, settles, and writes down what it was told; kills itself before the given call.
 * Each completed job has one follow-up, whose id derives from its own.
 */
async function work(file: string, ledger: string, calls: number): Promise<void> {
  const store = sqlite(file)
  let left = calls
  const call = <T>(run: () => Promise<T>): Promise<T> => {
    if (left === 0) process.kill(process.pid, 'SIGKILL')
    left -= 1
    return run()
  }
  const write = (line: string): void => appendFileSync(ledger, `${line}\n`)
  for (;;) {
    const jobs = [newJob(), newJob({ delayMs: 1 }), newJob({ unique: unique(v7()) })]
    const needing = newJob({ needs: [{ kind: 'job', id: jobs[0]?.id ?? '', onFailed: 'run' }] })
    for (const { id } of await call(() => store.insert([...jobs, needing]))) write(`inserted ${id}`)
    const claimed = await call(() => store.claim(claimOf({ limit: 3, maxLosses: 5, leaseMs: 1 })))
    await call(() =>
      store.note(claimed.jobs.map(({ id, token }) => ({ kind: 'start', id, token, agoMs: 0 }))),
    )
    const [first, ...others] = claimed.jobs
    if (first)
      record(await call(() => store.settle([requeue(first, { started: true })])), [], write)
    record(await call(() => store.settle(others.map(ended))), others, write)
    await call(() => store.cancel([needing.id], 'enough'))
  }
}

function ended(job: ClaimedJob): ReturnType<typeof finish> {
  const followUps = job.parent === null ? [newJob({ id: followUpOf(job.id), parent: job.id })] : []
  return finish(job, { followUps, keepMs: null })
}

function record(
  answers: readonly SettleAnswer[],
  jobs: readonly ClaimedJob[],
  write: (line: string) => void,
): void {
  for (const [index, job] of jobs.entries())
    if (answers[index] === 'settled') write(`settled ${job.id}`)
}

function followUpOf(id: string): string {
  return `${id.slice(0, -1)}${id.endsWith('f') ? 'g' : 'f'}`
}

function defineTests(): void {
  test('a process that is killed between any two calls loses nothing', async () => {
    await withFile(async (file, ledger) => {
      for (let calls = 0; calls < 14; calls += 1) {
        await ends(child(file, ledger, calls))
        await holds(file, ledger)
      }
    })
  })

  test(`a process that is killed at any instant, ${kills} times, loses nothing`, async () => {
    await withFile(async (file, ledger) => {
      for (let kill = 0; kill < kills; kill += 1) {
        const victim = child(file, ledger, -1)
        const ended = ends(victim)
        // The child needs about so long to start.
        setTimeout(() => victim.kill('SIGKILL'), 80 + Math.random() * 80)
        await ended
      }
      await holds(file, ledger)
    })
  })
}

function child(file: string, ledger: string, calls: number): ReturnType<typeof fork> {
  const env = { ...process.env }
  delete env['NODE_TEST_CONTEXT']
  return fork(import.meta.filename, ['work', file, ledger, String(calls)], { env })
}

async function ends(victim: ReturnType<typeof fork>): Promise<void> {
  const signal = await new Promise((resolve) => victim.once('exit', (_, name) => resolve(name)))
  assert.equal(signal, 'SIGKILL')
}

/** Finishes what was left, then compares the file with the ledger. */
async function holds(file: string, ledger: string): Promise<void> {
  const store = sqlite(file)
  const lines = (await readFile(ledger, 'utf8')).split('\n').filter((line) => line !== '')
  const settled = new Set<string>()
  for (const line of lines) {
    const [what, id = ''] = line.split(' ')
    if (what !== 'settled') continue
    assert.ok(!settled.has(id), `${id} was settled twice`)
    settled.add(id)
  }
  const before = await store.get([...settled])
  assert.deepEqual(
    before.filter((job) => job?.state !== 'completed'),
    [],
  )
  await drain(store)
  const inserted = lines.filter((line) => line.startsWith('inserted ')).map((line) => line.slice(9))
  const jobs = await store.get(inserted)
  for (const [index, job] of jobs.entries()) {
    assert.ok(job, `${inserted[index] ?? ''} is lost`)
    assert.ok(['completed', 'cancelled'].includes(job.state), `${job.id} is ${job.state}`)
  }
  await checkFollowUps(store)
  await store.close()
  checkFile(file)
}

async function drain(store: Store): Promise<void> {
  for (;;) {
    const claimed = await store.claim(claimOf({ maxLosses: 100, id: null }))
    const lost = await store.rescue(rescueOf({ limit: 1_000 }))
    const jobs = [...claimed.jobs, ...lost.jobs]
    await store.settle(jobs.map(ended))
    const open = (await store.counts()).filter((one) =>
      ['blocked', 'scheduled', 'ready', 'running'].includes(one.state),
    )
    if (open.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Each completed job has its follow-up, and no follow-up is there without. */
async function checkFollowUps(store: Store): Promise<void> {
  const completed = new Set<string>()
  const followUps = new Set<string>()
  for (let after: string | null | undefined; after !== null;) {
    const page = await store.list({ limit: 1_000, ...(after === undefined ? {} : { after }) })
    for (const job of page.jobs) {
      if (job.parent !== null) followUps.add(job.id)
      else if (job.state === 'completed') completed.add(followUpOf(job.id))
    }
    after = page.next
  }
  assert.deepEqual([...followUps].sort(), [...completed].sort())
}

/** The file is intact, and its counts are those of its rows. */
function checkFile(file: string): void {
  const own = new DatabaseSync(file)
  assert.equal(own.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
  const [counted] = own
    .prepare(
      'SELECT total(count) AS jobs, total(count) FILTER (WHERE state > 3) AS ended FROM errand_tally',
    )
    .all()
  const [found] = own
    .prepare(
      'SELECT (SELECT count(*) FROM errand_jobs) AS jobs, (SELECT count(*) FROM errand_finished) AS ended',
    )
    .all()
  assert.deepEqual(counted, found)
  own.close()
}

async function withFile(run: (file: string, ledger: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const ledger = join(folder, 'ledger')
  appendFileSync(ledger, '')
  try {
    await run(join(folder, 'jobs.db'), ledger)
  } finally {
    await rm(folder, { recursive: true })
  }
}

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { constant } from '../core/backoff.ts'
import { task } from '../core/task.ts'
import { createErrand, type Errand } from '../errand.ts'
import { memory } from '../stores/memory/index.ts'

const plain = task({ name: 'plain', run: (input: unknown) => input })

function app(t: TestContext, tasks = [plain]): Errand {
  const errand = createErrand({ store: memory(), tasks })
  t.after(() => errand.close())
  return errand
}

describe('labels', () => {
  it('are stored with the job and shown by its record', async (t) => {
    const errand = app(t)
    const labels = { group: 'import-7', tags: ['eu', 'vip', 'eu'], headers: { tenant: 'ada' } }
    const { id } = await errand.enqueue(plain, 1, labels)
    const record = await errand.jobs.get(id)
    assert.equal(record?.group, 'import-7')
    assert.deepEqual(record.tags, ['eu', 'vip'])
    assert.deepEqual(record.headers, { tenant: 'ada' })
    const bare = await errand.jobs.get((await errand.enqueue(plain, 2)).id)
    assert.deepEqual([bare?.group, bare?.tags, bare?.headers], [null, [], {}])
  })

  it('that no job can have are refused by name', async (t) => {
    const errand = app(t)
    const refused = async (labels: object, message: RegExp): Promise<void> => {
      await assert.rejects(errand.enqueue(plain, 1, labels), { message })
    }
    await refused({ group: '' }, /enqueue\(\)\.group/)
    await refused({ group: 'a\nb' }, /enqueue\(\)\.group/)
    await refused({ tags: 'eu' }, /enqueue\(\)\.tags must be a list/)
    await refused({ tags: [7] }, /Each of enqueue\(\)\.tags/)
    await refused({ tags: ['\ud83d'] }, /Each of enqueue\(\)\.tags/)
    await refused({ tags: Array.from({ length: 21 }, (_, n) => `t${n}`) }, /at most 20/)
    await refused({ headers: ['a'] }, /enqueue\(\)\.headers must be an object/)
    await refused({ headers: { a: 7 } }, /enqueue\(\)\.headers\.a/)
    await refused({ headers: { a: 'x'.repeat(5_000) } }, /exceed 4 KiB/)
    await refused({ tag: 'eu' }, /Did you mean tags\?/)
    assert.deepEqual(await errand.jobs.counts(), [])
  })

  it('choose jobs in filters, and so do values inside of their payloads', async (t) => {
    const errand = app(t)
    const [a, b] = await errand.enqueueMany([
      [plain, { order: { id: 7, lines: [{ sku: 'x' }] } }, { group: 'g', tags: ['eu'] }],
      [plain, { order: { id: 8 } }, { group: 'g' }],
    ])
    const ids = async (filter: object): Promise<string[]> =>
      (await errand.jobs.list(filter)).jobs.map(({ id }) => id)
    assert.deepEqual(await ids({ group: 'g' }), [b.id, a.id])
    assert.deepEqual(await ids({ tag: 'eu' }), [a.id])
    assert.deepEqual(await ids({ search: { path: ['order', 'id'], equals: 8 } }), [b.id])
    const sku = { path: ['order', 'lines', 0], equals: { sku: 'x' } }
    assert.deepEqual(await ids({ search: sku }), [a.id])
    assert.deepEqual(await ids({ search: { in: 'output', path: [], equals: 8 } }), [])
    await assert.rejects(ids({ search: { path: 'order.id', equals: 8 } }), /path must be a list/)
    assert.deepEqual(await errand.jobs.cancel({ group: 'g', tag: 'eu' }), { cancelled: 1 })
  })

  it('are seen by the handler, and follow-ups inherit group and headers but no tags', async (t) => {
    const seen: unknown[] = []
    const after = task({ name: 'after', run: (_: unknown, job) => void seen.push(labelsOf(job)) })
    const own = task({ name: 'own', run: (_: unknown, job) => void seen.push(labelsOf(job)) })
    const first = task({
      name: 'first',
      onSuccess: [after],
      run: async (_: unknown, job) => {
        seen.push(labelsOf(job))
        await job.enqueue(own, 1, { group: 'mine', tags: ['new'] })
      },
    })
    const errand = createErrand({ store: memory(), tasks: [first, after, own] })
    t.after(() => errand.close())
    await using worker = errand.worker()
    await worker.start()
    const labels = { group: 'g', tags: ['t'], headers: { trace: '1' } }
    await errand.enqueue(first, 1, labels)
    while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(seen[0], labels)
    const others = seen.slice(1) as (typeof labels)[]
    others.sort((one, other) => one.group.localeCompare(other.group))
    assert.deepEqual(others, [
      { group: 'g', tags: [], headers: { trace: '1' } },
      { group: 'mine', tags: ['new'], headers: { trace: '1' } },
    ])
  })
})

function labelsOf(job: {
  readonly group: unknown
  readonly tags: unknown
  readonly headers: unknown
}): object {
  return { group: job.group, tags: job.tags, headers: job.headers }
}

describe('the runs of a job', () => {
  it('are kept with worker, token and outcome, the last ten of them', async (t) => {
    let runs = 0
    const flaky = task({
      name: 'flaky',
      retry: { limit: 20, backoff: constant(1) },
      run: () => {
        runs += 1
        if (runs < 12) throw new TypeError(`no ${runs}`)
        return 'done'
      },
    })
    const errand = createErrand({ store: memory(), tasks: [flaky] })
    t.after(() => errand.close())
    await using worker = errand.worker()
    await worker.start()
    const job = await errand.enqueue(flaky)
    assert.equal(await job.result({ timeout: '20s' }), 'done')
    const record = await errand.jobs.get(job.id)
    assert.equal(record?.runs.length, 10)
    assert.deepEqual(
      record.runs.map(({ attempt }) => attempt),
      [3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    )
    assert.deepEqual(
      record.runs.map(({ outcome }) => outcome),
      [...Array<string>(9).fill('failed'), 'completed'],
    )
    assert.ok(record.runs.every((run) => run.worker === worker.id && run.startedAt !== null))
    assert.equal(new Set(record.runs.map(({ token }) => token)).size, 10)
    assert.equal(record.runs[8]?.error?.message, 'no 11')
    assert.equal(record.errors.length, 10)
  })
})

import assert from 'node:assert/strict'
import { before, suite, test, after } from 'node:test'
import { mkdtemp, rm, symlink, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand, Discard, task, type Errand, type JobRecord } from 'errand'
import { sqlite } from 'errand/sqlite'
import { errand, makeProject, type Ended } from './command-line.ts'

/** A store with jobs in every state but blocked, which these tests only read. */
suite('reading jobs', () => {
  let folder: string
  let app: Errand
  let ids: Readonly<
    Record<
      'completed' | 'failed' | 'discarded' | 'scheduled' | 'ready' | 'cancelled' | 'child',
      string
    >
  >
  const run = (...args: readonly string[]): Promise<Ended> =>
    errand([...args, '--store', 'sqlite:errand.db'], { cwd: folder })
  const list = async (...args: readonly string[]): Promise<readonly JobRecord[]> => {
    const { code, stdout, stderr } = await run('jobs', 'list', '--json', ...args)
    assert.equal(stderr, '')
    assert.equal(code, 0)
    return (JSON.parse(stdout) as { readonly jobs: readonly JobRecord[] }).jobs
  }
  const idsOf = async (...args: readonly string[]): Promise<readonly string[]> =>
    (await list(...args)).map(({ id }) => id)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-jobs-'))
    const child = task({
      name: 'child',
      queue: 'later',
      run: (input: { readonly sum: number }) => input.sum,
    })
    const add = task({
      name: 'add',
      onSuccess: 'child',
      run({ a, b }: { readonly a: number; readonly b: number }, job) {
        job.log.info('adding', { a, b })
        return { sum: a + b }
      },
    })
    const boom = task({
      name: 'boom',
      retry: 'never',
      run() {
        throw new TypeError('it broke\nbadly')
      },
    })
    const skip = task({
      name: 'skip',
      run() {
        throw new Discard('nothing to do')
      },
    })
    app = createErrand({
      store: sqlite(join(folder, 'errand.db')),
      tasks: [add, boom, skip, child],
      queues: { mail: {} },
    })
    const completed = await app.enqueue(add, { a: 1, b: 2 })
    const failed = await app.enqueue(boom)
    const discarded = await app.enqueue(skip)
    const worker = app.worker({ queues: ['default'] })
    await worker.start()
    for (const job of [completed, failed, discarded]) await job.result().catch(() => undefined)
    await worker.stop()
    const scheduled = await app.enqueue(
      add,
      { a: 3, b: 4 },
      { delay: '1h', queue: 'mail', priority: -5 },
    )
    const ready = await app.enqueue(add, { a: 5, b: 6 }, { unique: { key: 'five' } })
    const cancelled = await app.enqueue(add, { a: 7, b: 8 })
    await app.jobs.cancel(cancelled.id, { reason: 'not wanted' })
    const [followUp] = (await app.jobs.list({ task: 'child' })).jobs
    ids = {
      completed: completed.id,
      failed: failed.id,
      discarded: discarded.id,
      scheduled: scheduled.id,
      ready: ready.id,
      cancelled: cancelled.id,
      child: followUp?.id ?? '',
    }
  })

  after(async () => {
    await app.close()
    await rm(folder, { recursive: true, force: true })
  })

  test('numbers keep all their digits from the command line and back to it', async (t) => {
    const config = `import { createErrand, task } from 'errand'
      import { sqlite } from 'errand/sqlite'
      const count = task({ name: 'count', run: () => undefined })
      export default createErrand({ store: sqlite('errand.db'), tasks: [count] })`
    const cwd = await makeProject(t, { 'errand.config.ts': config })
    const json = async (...args: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await errand([...args, '--json'], { cwd })
      assert.equal(stderr, '')
      return stdout
    }
    const input = '{"id":9007199254740993,"part":0.1000000000000000055,"n":1}'
    const { id } = JSON.parse(await json('enqueue', 'count', input)) as { readonly id: string }
    for (const command of [
      ['jobs', 'show', id],
      ['jobs', 'list'],
    ])
      assert.ok((await json(...command)).includes(`"input":${input}`))
  })

  test('jobs are listed newest first, one line each', async () => {
    const { code, stdout, stderr } = await run('jobs', 'list')
    assert.equal(stderr, '')
    assert.equal(code, 0)
    const [titles, ...lines] = stdout.trimEnd().split('\n')
    assert.match(titles ?? '', /^ID +TASK +STATE +ENQUEUED +QUEUE +ATTEMPT +REMARK$/)
    assert.equal(lines.length, 7)
    assert.match(
      lines[0] ?? '',
      new RegExp(
        `^${ids.cancelled} +add +cancelled +(just now|\\d+ s ago) +default +0 +not wanted$`,
      ),
    )
    const line = (id: string): string => lines.find((one) => one.startsWith(id)) ?? ''
    assert.match(line(ids.failed), /TypeError: it broke badly$/)
    assert.match(line(ids.scheduled), /due in 1 h$/)
    assert.match(line(ids.completed), /ended (just now|\d+ s ago)/)
  })

  test('each filter chooses its jobs', async () => {
    assert.deepEqual(await idsOf('--state', 'failed'), [ids.failed])
    assert.deepEqual(await idsOf('--state', 'failed,discarded'), [ids.discarded, ids.failed])
    assert.deepEqual(await idsOf('--state', 'failed', '--state', 'scheduled'), [
      ids.scheduled,
      ids.failed,
    ])
    assert.deepEqual(await idsOf('--task', 'boom'), [ids.failed])
    assert.deepEqual(await idsOf('--queue', 'mail'), [ids.scheduled])
    assert.deepEqual(await idsOf('--key', 'add:five'), [ids.ready])
    assert.deepEqual(await idsOf('--parent', ids.completed), [ids.child])
    assert.equal((await idsOf('--created-from', '1h')).length, 7)
    assert.deepEqual(await idsOf('--created-to', '1h'), [])
    assert.equal((await idsOf('--finished-from', '1h')).length, 4)
    assert.deepEqual(await idsOf('--finished-to', '2020-01-01'), [])
    assert.deepEqual(
      await idsOf('--task', 'add', '--state', 'ready,cancelled', '--created-from', '1h'),
      [ids.cancelled, ids.ready],
    )
  })

  test('pages follow each other, by the command that each page prints', async () => {
    const seen: string[] = []
    let args: readonly string[] = ['jobs', 'list', '--limit', '3', '--created-from', '1h']
    for (let pages = 1; ; pages += 1) {
      const { stdout } = await run(...args)
      seen.push(...[...stdout.matchAll(/^([0-9a-f-]{36}) /gm)].map(([, id = '']) => id))
      const more = /^More: errand (.*)$/m.exec(stdout)?.[1]
      if (more === undefined) {
        assert.equal(pages, 3)
        break
      }
      args = more.replaceAll("'", '').split(' ')
    }
    assert.equal(seen.length, 7)
    assert.equal(new Set(seen).size, 7)
  })

  test('a page as JSON holds the jobs and the next page', async () => {
    const { stdout } = await run('jobs', 'list', '--limit', '3', '--json')
    const page = JSON.parse(stdout) as { readonly jobs: readonly unknown[]; readonly next: string }
    assert.equal(page.jobs.length, 3)
    assert.equal((await list('--limit', '1000', '--after', page.next)).length, 4)
  })

  test('a job is shown with what happened to it', async () => {
    const { code, stdout } = await run('jobs', 'show', ids.completed)
    assert.equal(code, 0)
    assert.match(stdout, /^state +completed$/m)
    assert.match(stdout, /^input +\{ a: 1, b: 2 \}$/m)
    assert.match(stdout, /^output +\{ sum: 3 \}$/m)
    assert.match(stdout, /^Timeline\n.* enqueued\n/m)
    assert.match(stdout, / info {2}adding \{"a":1,"b":2\}\n/)
    assert.match(stdout, / completed$/m)
  })

  test('a failed job is shown with its errors and the last stack', async () => {
    const { stdout } = await run('jobs', 'show', ids.failed)
    assert.match(stdout, /^state +failed \(error\)$/m)
    assert.match(stdout, / attempt 1: TypeError: it broke badly$/m)
    assert.match(stdout, /^Last error\nTypeError: it broke\nbadly\n +at /m)
  })

  test('a job as JSON is its record and its log', async () => {
    const { stdout } = await run('jobs', 'show', ids.completed, '--json')
    const job = JSON.parse(stdout) as JobRecord & {
      readonly log: readonly { readonly text: string }[]
    }
    assert.equal(job.id, ids.completed)
    assert.deepEqual(job.output, { sum: 3 })
    assert.equal(job.log.length, 1)
  })

  test('a job that is unknown is trouble, not wrong use', async () => {
    for (const verb of ['show', 'result']) {
      const { code, stdout, stderr } = await run(
        'jobs',
        verb,
        '01a20113-2e13-72a7-9872-b729d15a18fd',
      )
      assert.match(
        stderr,
        /^error: No job .*01a20113-2e13-72a7-9872-b729d15a18fd.* never stored.*\n$/,
      )
      assert.equal(stdout, '')
      assert.equal(code, 1)
    }
  })

  test('the result of a job is its output as JSON, or why there is none', async () => {
    assert.deepEqual(JSON.parse((await run('jobs', 'result', ids.completed)).stdout), { sum: 3 })
    const failed = await run('jobs', 'result', ids.failed)
    assert.equal(failed.code, 1)
    assert.equal(failed.stdout, '')
    assert.match(failed.stderr, /^error: boom .* failed .*it broke badly\n$/)
    const ready = await run('jobs', 'result', ids.ready)
    assert.equal(ready.code, 1)
    assert.match(ready.stderr, /ready and has no output yet.*--wait/)
    const waited = await run('jobs', 'result', ids.ready, '--wait', '--timeout', '50ms')
    assert.equal(waited.code, 1)
    assert.match(waited.stderr, /^error: .*\n$/)
  })

  test('queues are listed with their counts', async () => {
    const { stdout } = await run('queues', 'list')
    assert.match(
      stdout,
      /^QUEUE +BLOCKED +SCHEDULED +READY +RUNNING +COMPLETED +FAILED +CANCELLED +DISCARDED$/m,
    )
    assert.match(stdout, /^default +0 +0 +1 +0 +1 +1 +1 +1$/m)
    assert.match(stdout, /^mail +0 +1 +0 +0 +0 +0 +0 +0$/m)
  })

  test('workers that stopped are listed', async () => {
    const { stdout } = await run('workers')
    assert.match(stdout, /^[0-9a-f-]{36} +stopped .* default /m)
    const [worker] = JSON.parse((await run('workers', '--json')).stdout) as {
      readonly pid: number
    }[]
    assert.equal(worker?.pid, process.pid)
  })
})

suite('changing jobs', () => {
  let folder: string
  const run = (...args: readonly string[]): Promise<Ended> => errand(args, { cwd: folder })
  const enqueue = async (...args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run('enqueue', 'note', '{"text":"a"}', '--json', ...args)
    assert.equal(stderr, '')
    return (JSON.parse(stdout) as { readonly id: string }).id
  }
  const state = async (id: string): Promise<string> =>
    (JSON.parse((await run('jobs', 'show', id, '--json')).stdout) as JobRecord).state

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-change-'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(join(import.meta.dirname, '../..'), join(folder, 'node_modules/errand'))
    await writeFile(
      join(folder, 'errand.config.mjs'),
      `import { createErrand, task } from 'errand'
       import { sqlite } from 'errand/sqlite'
       export default createErrand({ store: sqlite('errand.db'), tasks: [task({ name: 'note', run: () => null })], queues: { '*': {} } })`,
    )
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('jobs are cancelled, retried and removed by their ids', async () => {
    const [a, b] = [await enqueue(), await enqueue()]
    const cancelled = await run('jobs', 'cancel', a, b, '--reason', 'a mistake')
    assert.equal(cancelled.stdout, '2 jobs cancelled\n')
    assert.equal(cancelled.code, 0)
    assert.equal(await state(a), 'cancelled')
    assert.match((await run('jobs', 'show', a)).stdout, /a mistake/)
    assert.equal((await run('jobs', 'retry', a)).stdout, '1 job made ready again\n')
    assert.equal(await state(a), 'ready')
    assert.equal((await run('jobs', 'remove', a, b)).stdout, '2 jobs removed\n')
  })

  test('a verb that could not be done to every id ends with 1', async () => {
    const id = await enqueue()
    const { code, stdout } = await run('jobs', 'retry', id, '--json')
    assert.deepEqual(JSON.parse(stdout), { unfit: 1 })
    assert.equal(code, 1)
    const missing = await run('jobs', 'remove', id, '01a20113-2e13-72a7-9872-b729d15a18fd')
    assert.equal(
      missing.stdout,
      '1 job removed\n1 job unknown: never stored, removed, or beyond retention\n',
    )
    assert.equal(missing.code, 1)
  })

  test('a bulk verb works on what its filter chooses, and on no more', async () => {
    const kept = await enqueue('--queue', 'kept')
    await Promise.all(Array.from({ length: 3 }, () => enqueue('--queue', 'bulk')))
    const { code, stdout } = await run('jobs', 'cancel', '--queue', 'bulk', '--json')
    assert.deepEqual(JSON.parse(stdout), { cancelled: 3 })
    assert.equal(code, 0)
    assert.equal(await state(kept), 'ready')
    const again = await run('jobs', 'cancel', '--queue', 'bulk')
    assert.equal(again.stdout, 'No jobs match.\n')
    assert.equal(again.code, 1)
  })

  test('retry in bulk leaves cancelled jobs alone unless they are named', async () => {
    const id = await enqueue('--queue', 'chosen')
    await run('jobs', 'cancel', id)
    assert.equal((await run('jobs', 'retry', '--queue', 'chosen')).code, 1)
    assert.equal(await state(id), 'cancelled')
    assert.equal((await run('jobs', 'retry', '--queue', 'chosen', '--state', 'cancelled')).code, 0)
    assert.equal(await state(id), 'ready')
  })

  test('a queue is paused, resumed and purged', async () => {
    await enqueue('--queue', 'tap')
    const queues = async (): Promise<string> => (await run('queues', 'list')).stdout
    assert.equal((await run('queues', 'pause', 'tap')).stdout, 'paused tap\n')
    assert.match(await queues(), /^tap +paused /m)
    assert.match(
      (await run('doctor')).stdout,
      /^warn +queues +paused: tap\n.*errand queues resume tap$/m,
    )
    assert.equal((await run('queues', 'resume', 'tap')).stdout, 'resumed tap\n')
    assert.doesNotMatch(await queues(), /paused/)
    assert.equal((await run('queues', 'purge', 'tap')).stdout, '1 job removed\n')
    assert.doesNotMatch(await queues(), /tap/)
  })

  test('--all does it to all jobs', async () => {
    await enqueue()
    const { code } = await run('jobs', 'remove', '--all')
    assert.equal(code, 0)
    assert.equal((await run('jobs', 'list')).stdout, 'No jobs.\n')
  })
})

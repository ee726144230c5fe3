/** Isolated tasks in threads and in processes: what crosses, and what bad children come to. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import {
  inModule,
  task,
  workflow,
  type AnyTask,
  type Events,
  type IsolateOptions,
  type JobRecord,
} from 'errand'
import { lastError, open, saying, until, type Bench } from './harness.ts'

const url = new URL('./tasks.ts', import.meta.url)
const withErrand = new URL('./errand-tasks.ts', import.meta.url)

for (const kind of ['thread', 'process'] as const) {
  const isolated = (
    name: string,
    options: Partial<IsolateOptions> = {},
    rest: { readonly timeout?: '300ms' | '1s' } = {},
  ): AnyTask =>
    task({
      name,
      queue: name,
      retry: 'never',
      run: { module: name === 'instructs' ? withErrand : url, export: name },
      isolate: { kind, grace: '100ms', ...options },
      ...rest,
    })

  suite(`isolated in a ${kind}`, () => {
    let bench: Bench
    const run = (name: string, input?: unknown): Promise<JobRecord> =>
      bench.run('any', { name, input })
    after(() => bench.errand.close())
    before(async () => {
      process.env['ERRAND_TEST_SECRET'] = 'hush'
      const double = task({ name: 'double', run: (n: number) => n * 2 })
      const later = task({ name: 'later', run: () => undefined })
      bench = await open([
        double,
        later,
        ...['any', 'deaf'].map((name) => isolated(name)),
        isolated('loops', {}, { timeout: '300ms' }),
        isolated('allocates', { memory: '32mb' }),
        ...['exits', 'instructs', 'failsLater'].map((name) => isolated(name)),
        isolated('hangsUp', {}, { timeout: '300ms' }),
        ...['notAFunction', 'missing'].map((name) => isolated(name)),
        isolated('counts', { maxJobs: 2 }),
        ...(kind === 'process'
          ? [isolated('kills'), isolated('reads', { permissions: { read: ['/etc/hostname'] } })]
          : []),
        task({
          name: 'noModule',
          queue: 'noModule',
          run: { module: new URL('./nowhere.ts', import.meta.url), export: 'x' },
          isolate: kind,
        }),
        ...(kind === 'thread'
          ? []
          : [
              task({
                name: 'noProgram',
                queue: 'noProgram',
                run: { module: url, export: 'add' },
                isolate: { kind, execPath: '/nowhere/node' },
              }),
            ]),
      ])
    })

    test('returns its output, and keeps its word for one thread or process', async () => {
      assert.deepEqual((await run('add', { a: 1, b: 2 })).output, { sum: 3 })
      const at = (await run('place')).output as Record<string, unknown>
      assert.equal(at['pid'] === process.pid, kind === 'thread')
      assert.ok(!JSON.stringify([at['argv'], at['execArgv']]).includes('hush'))
    })

    test('log, console, progress, enqueue and call reach the worker and come back', async () => {
      const { errand } = bench
      const job = await run('talks', 'you')
      const output = job.output as { readonly id: string; readonly called: unknown }
      assert.equal(output.called, 42)
      assert.deepEqual(job.progress, { done: 2 })
      const later = await errand.jobs.get(output.id)
      assert.deepEqual([later?.task, later?.parent, later?.tags], ['later', job.id, ['mine']])
      const lines = (await errand.jobs.logs(job.id)).map(({ text }) => text)
      for (const line of ['hello {"name":"you"}', 'on the console', 'an error', 'and half a line'])
        assert.ok(lines.includes(line), `${line} is not in ${lines.join(' | ')}`)
    })

    test('only what programs need is in its environment', async () => {
      assert.deepEqual((await run('environment')).output, { secret: null, path: true })
    })

    test('a cancel reaches a handler that listens', async () => {
      const { errand } = bench
      const job = await errand.enqueue('any', { name: 'waits' })
      await saying(errand, job.id)
      await errand.jobs.cancel(job.id)
      await assert.rejects(job.result({ timeout: '60s' }), { code: 'job-cancelled' })
    })

    test('a handler that ignores its cancel is killed after its grace', async () => {
      const { errand } = bench
      const job = await errand.enqueue('deaf')
      await saying(errand, job.id)
      await errand.jobs.cancel(job.id)
      await assert.rejects(job.result({ timeout: '60s' }), { code: 'job-cancelled' })
    })

    test('a handler that loops for ever is killed after its timeout, and its slot is free', async () => {
      const job = await bench.run('loops')
      assert.deepEqual([job.state, job.reason], ['failed', 'timeout'])
      assert.match(lastError(job).message, /longer than its timeout of 300 ms/)
    })

    test('a handler that allocates without end fails with its memory named', async () => {
      const job = await bench.run('allocates')
      assert.match(lastError(job).message, /ran out of its memory of 32 MB/)
    })

    test('process.exit fails the attempt with its exit code', async () => {
      const job = await bench.run('exits')
      assert.match(lastError(job).message, /ended with exit code 7/)
      const lines = (await bench.errand.jobs.logs(job.id)).map(({ text }) => text)
      assert.ok(lines.includes('about to exit'))
    })

    test('what is thrown is kept in its words, an error or not', async () => {
      const text = lastError(await run('throwsText'))
      assert.deepEqual([text.type, text.message, text.stack], ['string', 'not an error', null])
      const error = (await run('throwsError')).errors.at(-1)
      assert.deepEqual(
        [error?.type, error?.message, error?.code],
        ['NotFound', 'no such picture', 'E_GONE'],
      )
      assert.match(error?.stack ?? '', /tasks\.ts.*Caused by: Error: the disk is full/s)
    })

    test('instructions cross', async () => {
      assert.equal((await bench.run('instructs', 'postpone')).state, 'scheduled')
      const discarded = await bench.run('instructs', 'discard')
      assert.deepEqual([discarded.state, discarded.reason], ['discarded', 'no need'])
      assert.equal((await bench.run('instructs', 'fail')).state, 'failed')
    })

    test('an error outside of the handler fails the attempt that runs', async () => {
      const job = await bench.run('failsLater')
      assert.equal(job.state, 'failed')
      assert.match(lastError(job).message, /from a timer/)
    })

    test('a child that closes its channel is an ordinary failure', async () => {
      assert.equal((await bench.run('hangsUp')).state, 'failed')
    })

    test('an output that is none fails the job for good', async () => {
      const none = await run('returnsFunction')
      assert.deepEqual([none.state, none.reason], ['failed', 'invalid-output'])
      assert.match(lastError(none).message, /output\.run is a function/)
      const much = await run('returnsMuch')
      assert.deepEqual([much.reason, much.errors.at(-1)?.code], ['invalid-output', 'too-large'])
    })

    for (const [name, why] of [
      ['noModule', /nowhere\.ts failed to load/],
      ['missing', /exports no missing\. It exports add/],
      ['notAFunction', /must be a function or a task, not 42/],
      ...(kind === 'process' ? ([['noProgram', /did not start: .*ENOENT/]] as const) : []),
    ] as const) {
      test(`${name}: the job is given back, and the task is broken here`, async () => {
        const { errand, warnings } = bench
        const job = await errand.enqueue(name, { a: 1, b: 1 })
        const isWarned = (): boolean =>
          warnings.some((one) => one.code === 'task-broken' && one.task === name)
        await until(async () => {
          const found = await errand.jobs.get(job.id)
          return isWarned() && found?.state === 'scheduled' && found.deferrals > 0
        })
        const found = await errand.jobs.get(job.id)
        assert.deepEqual([found?.attempts, found?.failures], [0, 0])
        const warning = warnings.find((one) => one.code === 'task-broken' && one.task === name)
        assert.match(warning?.message ?? '', why)
      })
    }

    if (kind === 'process') {
      test('a process that is killed fails the attempt, and the next one runs', async () => {
        const job = await bench.run('kills')
        assert.match(lastError(job).message, /its process was ended by SIGKILL/)
        assert.equal((await bench.run('kills')).state, 'failed')
      })

      test('permissions refuse what they do not name', async () => {
        assert.equal((await bench.run('reads', '/etc/hostname')).state, 'completed')
        const refused = lastError(await bench.run('reads', '/etc/passwd'))
        assert.equal(refused.code, 'ERR_ACCESS_DENIED')
      })
    }

    test('a child is replaced after its jobs', async () => {
      const seen: unknown[] = []
      for (let n = 0; n < 4; n++) seen.push((await bench.run('counts')).output)
      assert.deepEqual(seen, [1, 2, 1, 2])
    })
  })

  suite(`around a ${kind}`, () => {
    test('the task decides by its own rules where the error is thrown', async () => {
      const isolate = { kind, module: withErrand }
      const judged = task({
        name: 'judged',
        retry: { when: () => true, backoff: () => '1m' },
        isolate,
        run: () => assert.fail('it runs elsewhere'),
      })
      const seen: string[] = []
      const bench = await open([judged], {
        wrap: async (job, next) => {
          seen.push(`in ${job.task}`)
          return next()
        },
      })
      const gone = await bench.run('judged', 'gone')
      assert.deepEqual([gone.state, gone.reason], ['failed', 'error'])
      const other = await bench.run('judged', 'other')
      assert.equal(other.state, 'scheduled')
      assert.ok(other.dueAt.getTime() - Date.now() > 3_600_000)
      assert.deepEqual(seen, ['in judged', 'in judged'])
      const [line] = await bench.errand.jobs.logs(other.id)
      assert.equal(line?.text, 'wrapped inside')
      await bench.errand.close()
    })

    test('a stop ends what runs as interrupted, and leaves the job to others', async () => {
      const { errand, worker } = await open([isolated('deaf')])
      const job = await errand.enqueue('deaf')
      await saying(errand, job.id)
      const ended = new Promise<Events['run-ended']>((resolve) => {
        errand.on('run-ended', resolve)
      })
      await worker.stop({ grace: 0, abortGrace: 50 })
      assert.equal((await ended).outcome, 'interrupted')
      assert.equal((await errand.jobs.get(job.id))?.state, 'ready')
      await errand.close()
    })

    test('an isolated node adds nodes to its workflow, which refer to each other', async () => {
      const double = task({ name: 'double', run: (n: number) => n * 2 })
      const adds = isolated('adds')
      const flow = workflow({ name: 'flow', build: (w) => void w.add('adds', adds) })
      const { errand } = await open([double, adds])
      const run = await errand.start(flow)
      await run.result({ timeout: '60s' })
      const { jobs } = await errand.jobs.list({ task: 'double' })
      assert.deepEqual(new Set(jobs.map(({ output }) => output)), new Set([4, 8]))
      await errand.close()
    })

    test('each child makes the context that is named by its module', async () => {
      const context = inModule<() => { readonly madeIn: number }>(url, 'makeContext')
      const double = task({ name: 'double', run: (n: number) => n * 2 })
      const later = task({ name: 'later', run: () => undefined })
      const bench = await open([isolated('talks'), double, later], { context })
      const { ownContext } = (await bench.run('talks', 'you')).output as {
        readonly ownContext: { readonly madeIn: number }
      }
      assert.equal(ownContext.madeIn === process.pid, kind === 'thread')
      await bench.errand.close()
    })
  })
}

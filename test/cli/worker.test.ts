import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { configText, errand, makeProject, start, type Running } from './command-line.ts'

interface LogLine {
  readonly level: number
  readonly time: number
  readonly msg: string
  readonly task?: string
  readonly outcome?: string
}

/** A folder with the configuration, and a worker that has started. */
async function withWorker(
  context: TestContext,
  ...args: readonly string[]
): Promise<{ readonly cwd: string; readonly worker: Running }> {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const worker = start(['worker', ...args], { cwd })
  context.after(() => worker.kill('SIGKILL'))
  await worker.shown(' started: ')
  return { cwd, worker }
}

test('a worker whose log nobody reads any more stops as if its terminal was closed', async (context) => {
  const { cwd, worker } = await withWorker(context)
  worker.deafen()
  const { code } = await errand(['enqueue', 'add', '{"a":1,"b":2}', '--wait'], { cwd })
  assert.equal(code, 0)
  assert.equal((await worker.ended).code, 0)
  const { stdout } = await errand(['workers', '--json'], { cwd })
  const workers = JSON.parse(stdout) as { readonly state: string }[]
  assert.deepEqual(
    workers.map(({ state }) => state),
    ['stopped'],
  )
})

test('--wait prints the result as JSON', async (context) => {
  const { cwd } = await withWorker(context)
  const { code, stdout, stderr } = await errand(['enqueue', 'add', '{"a":1,"b":2}', '--wait'], {
    cwd,
  })
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), { sum: 3 })
  assert.equal(code, 0)
})

test('--wait on a job that fails, is discarded or takes too long ends with 1 and says why', async (context) => {
  const { cwd } = await withWorker(context)
  const failed = await errand(['enqueue', 'boom', '--wait'], { cwd })
  assert.match(failed.stderr, /^error: .*it broke badly.*\n$/)
  assert.equal(failed.stdout, '')
  assert.equal(failed.code, 1)
  const discarded = await errand(['enqueue', 'skip', '--wait'], { cwd })
  assert.match(discarded.stderr, /^error: .*nothing to do.*\n$/)
  assert.equal(discarded.code, 1)
  const late = await errand(['enqueue', 'slow', '--wait', '--timeout', '50ms'], { cwd })
  assert.match(late.stderr, /^error: .*\n$/)
  assert.equal(late.code, 1)
})

test('the input comes from standard input or a file as well', async (context) => {
  const cwd = await makeProject(context, {
    'errand.config.ts': configText,
    'in.json': '{"a":3,"b":4}',
  })
  const input = async (args: readonly string[], stdin = ''): Promise<unknown> => {
    const { stdout, stderr } = await errand(['enqueue', 'add', '--json', ...args], {
      cwd,
      input: stdin,
    })
    assert.equal(stderr, '')
    const { id } = JSON.parse(stdout) as { readonly id: string }
    const shown = await errand(['jobs', 'show', id, '--json'], { cwd })
    return (JSON.parse(shown.stdout) as { readonly input: unknown }).input
  }
  assert.deepEqual(await input(['-'], '{"a":1,"b":2}\n'), { a: 1, b: 2 })
  assert.deepEqual(await input(['--input-file', 'in.json']), { a: 3, b: 4 })
  const both = await errand(['enqueue', 'add', '{}', '--input-file', 'in.json'], { cwd })
  assert.match(both.stderr, /not both/)
  assert.equal(both.code, 2)
  const missing = await errand(['enqueue', 'add', '--input-file', 'out.json'], { cwd })
  assert.match(missing.stderr, /out\.json cannot be read/)
  assert.equal(missing.code, 2)
})

test('the options of enqueue reach the job', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const job = async (...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> => {
    const { stdout, stderr } = await errand(
      ['enqueue', 'add', '{"a":1,"b":2}', '--json', ...args],
      { cwd },
    )
    assert.equal(stderr, '')
    const { id, inserted } = JSON.parse(stdout) as {
      readonly id: string
      readonly inserted: string
    }
    const shown = await errand(['jobs', 'show', id, '--json'], { cwd })
    return { ...(JSON.parse(shown.stdout) as object), inserted }
  }
  const plain = await job('--queue', 'mail', '--priority', '-5', '--unique-key', 'k')
  assert.deepEqual(
    [plain['queue'], plain['priority'], plain['key'], plain['inserted']],
    ['mail', -5, 'add:k', 'created'],
  )
  assert.deepEqual((await job('--unique-key', 'k'))['inserted'], 'duplicate')
  assert.equal((await job('--delay', '1h'))['state'], 'scheduled')
  assert.equal((await job('--run-at', '2090-01-01T00:00:00Z'))['dueAt'], '2090-01-01T00:00:00.000Z')
})

test('a registered task can be enqueued with a store and no configuration, and its input is checked', async (context) => {
  const { cwd } = await withWorker(context)
  const elsewhere = await makeProject(context)
  const args = ['--store', `sqlite:${join(cwd, 'errand.db')}`]
  const good = await errand(['enqueue', 'add', '{"a":1,"b":2}', '--wait', ...args], {
    cwd: elsewhere,
  })
  assert.deepEqual(JSON.parse(good.stdout), { sum: 3 })
  const bad = await errand(['enqueue', 'add', '{"a":1}', ...args], { cwd: elsewhere })
  assert.match(bad.stderr, /b\b/)
  assert.equal(bad.code, 2)
})

test('a worker logs a line at the start and at the end of each run, as JSON where nobody watches', async (context) => {
  const { cwd, worker } = await withWorker(context)
  await errand(['enqueue', 'add', '{"a":1,"b":2}', '--wait'], { cwd })
  worker.kill('SIGTERM')
  const { code, stdout, stderr } = await worker.ended
  assert.equal(stderr, '')
  assert.equal(code, 0)
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine)
  assert.deepEqual(
    lines
      .filter(({ task }) => task === 'add')
      .map(({ msg }) => msg.replace(/[0-9a-f-]{36}/, 'id').replace(/[\d.]+ ms/, 'n ms')),
    ['add id started', 'add id completed after n ms'],
  )
  assert.match(lines.at(-1)?.msg ?? '', /^worker .* stopped$/)
})

test('the log is pretty on demand, and no louder than its level', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const worker = start(['worker', '--log-format', 'pretty'], {
    cwd,
    env: { ERRAND_LOG_LEVEL: 'warn' },
  })
  context.after(() => worker.kill('SIGKILL'))
  await errand(['enqueue', 'add', '{"a":1,"b":2}', '--wait'], { cwd })
  await errand(['enqueue', 'boom', '--wait'], { cwd })
  await worker.shown('boom')
  worker.kill('SIGINT')
  const { code, stdout } = await worker.ended
  assert.equal(code, 0)
  assert.match(
    stdout,
    /^\[\d\d:\d\d:\d\d\.\d{3}\] ERROR: boom [0-9a-f-]{36} failed after .*it broke/,
  )
  assert.doesNotMatch(stdout, /completed|"level"/)
})

test('a configuration with a log of its own is not logged twice', async (context) => {
  const config = configText.replace(
    'tasks: [add',
    'log: (line) => console.log(`own: ${line}`),\n  tasks: [add',
  )
  const cwd = await makeProject(context, { 'errand.config.ts': config })
  const worker = start(['worker'], { cwd })
  context.after(() => worker.kill('SIGKILL'))
  await worker.shown('own: worker')
  worker.kill('SIGTERM')
  const { stdout } = await worker.ended
  for (const line of stdout.trimEnd().split('\n')) assert.match(line, /^own: /)
})

test('a signal lets running jobs end, then the worker exits with 0', async (context) => {
  const { cwd, worker } = await withWorker(context)
  const { stdout } = await errand(['enqueue', 'slow', '--json'], { cwd })
  await worker.shown('slow')
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
  const { id } = JSON.parse(stdout) as { readonly id: string }
  assert.equal((await errand(['jobs', 'result', id], { cwd })).stdout, '"done"\n')
})

test('jobs that outlive the grace are aborted and become ready again', async (context) => {
  const { cwd, worker } = await withWorker(context, '--grace', '100ms', '--abort-grace', '2s')
  const { stdout } = await errand(['enqueue', 'hang', '--json'], { cwd })
  await worker.shown('hang')
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
  const { id } = JSON.parse(stdout) as { readonly id: string }
  const job = JSON.parse(
    (await errand(['jobs', 'show', id, '--json'], { cwd })).stdout,
  ) as Readonly<Record<string, unknown>>
  assert.deepEqual([job['state'], job['interruptions'], job['failures']], ['ready', 1, 0])
})

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`another ${signal}, a second later, exits at once with ${code}`, async (context) => {
    const { cwd, worker } = await withWorker(context)
    await errand(['enqueue', 'hang'], { cwd })
    await worker.shown('hang')
    worker.kill(signal)
    await worker.shown('stops')
    const insisting = setInterval(() => worker.kill(signal), 100)
    context.after(() => clearInterval(insisting))
    assert.equal((await worker.ended).code, code)
  })
}

for (const signals of [['SIGINT', 'SIGINT'], ['SIGINT', 'SIGTERM'], ['SIGHUP']] as const) {
  test(`${signals.join(' and ')} of one wish to stop let running jobs end`, async (context) => {
    const { cwd, worker } = await withWorker(context)
    const { stdout } = await errand(['enqueue', 'slow', '--json'], { cwd })
    await worker.shown('slow')
    for (const signal of signals) worker.kill(signal)
    assert.equal((await worker.ended).code, 0)
    const { id } = JSON.parse(stdout) as { readonly id: string }
    assert.equal((await errand(['jobs', 'result', id], { cwd })).stdout, '"done"\n')
  })
}

test('a worker serves the queues and has the slots that it was told', async (context) => {
  const { cwd, worker } = await withWorker(
    context,
    '--queue',
    'mail',
    '--queue',
    'slow',
    '--slots',
    '3',
    '--poll',
    '1s',
  )
  const [record] = JSON.parse((await errand(['workers', '--json'], { cwd })).stdout) as {
    readonly queues: readonly string[]
    readonly slots: number
    readonly state: string
  }[]
  assert.deepEqual([record?.queues, record?.slots, record?.state], [['mail', 'slow'], 3, 'running'])
  worker.kill('SIGTERM')
  await worker.ended
})

test('cancel of a running job reaches its handler in another process', async (context) => {
  const { cwd, worker } = await withWorker(context)
  const { stdout } = await errand(['enqueue', 'hang', '--json'], { cwd })
  const { id } = JSON.parse(stdout) as { readonly id: string }
  await worker.shown('hang')
  assert.equal(
    (await errand(['jobs', 'cancel', id], { cwd })).stdout,
    '1 job running, asked to end\n',
  )
  await worker.shown('cancelled')
  assert.match((await errand(['jobs', 'show', id], { cwd })).stdout, /^state +cancelled/m)
})

test('a task module that fails to load stops the start with its own error', async (context) => {
  const cwd = await makeProject(context, {
    'errand.config.ts': configText.replace(
      'tasks: [add, boom, skip, slow, hang]',
      "tasks: 'tasks/*.ts'",
    ),
    'tasks/bad.ts': `throw new Error('cannot find the moon')`,
  })
  const { code, stderr } = await errand(['worker'], { cwd })
  assert.match(stderr, /^error: .*bad\.ts failed to load: cannot find the moon\n$/)
  assert.equal(code, 2)
})

test('a worker whose log was taken away ends with 3, so that the next one can go on', async (context) => {
  const { cwd, worker } = await withWorker(context)
  await rm(join(cwd, 'errand.db-wal'))
  const { code, stderr } = await worker.ended
  assert.equal(code, 3)
  assert.match(stderr, /^error: The write-ahead log of .*restart this process/m)
  const next = start(['worker'], { cwd })
  context.after(() => next.kill('SIGKILL'))
  await next.shown(' started: ')
})

/** Programs as tasks: `exec`. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { task, type AnyTask, type Command } from 'errand'
import { runTask } from 'errand/testing'
import { lastError, open, until, type Bench } from './harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'errand-programs-'))

/** A shell stands for any program. */
function shell(script: string): Command {
  return ['/bin/sh', '-c', script]
}

function program(name: string, script: string, more: { readonly timeout?: '200ms' } = {}): AnyTask {
  return task({
    name,
    queue: name,
    retry: 'never',
    exec: { command: shell(script), grace: '100ms' },
    ...more,
  })
}

suite('a program as a task', { concurrency: true }, () => {
  let bench: Bench
  before(async () => {
    process.env['ERRAND_TEST_SECRET'] = 'hush'
    bench = await open([
      program('echo', 'cat'),
      program(
        'environment',
        'echo "{\\"id\\":\\"$ERRAND_JOB_ID\\",\\"attempt\\":$ERRAND_ATTEMPT,\\"token\\":$ERRAND_TOKEN,\\"secret\\":\\"$ERRAND_TEST_SECRET\\"}"',
      ),
      program('quiet', 'true'),
      program('words', 'echo plain words'),
      task({ name: 'text', queue: 'text', exec: shell('printf "plain words\\n"'), output: 'text' }),
      program('fails', 'echo first >&2; echo last words >&2; exit 3'),
      program('signalled', 'kill -SEGV $$'),
      program('much', 'cat /dev/zero | head -c 1000000000'),
      program('chatty', 'head -c 1000000 /dev/zero | tr "\\0" "x" >&2; echo 1'),
      // Its child would outlive it.
      program('hangs', `trap "" TERM; sleep 120 & echo $! > ${folder}/pid; wait; sleep 120`, {
        timeout: '200ms',
      }),
      program(
        'polite',
        `trap "echo bye >&2; exit 0" TERM; echo > ${folder}/polite; sleep 60 & wait`,
      ),
      task({ name: 'nowhere', queue: 'nowhere', exec: ['/nowhere/ffmpeg'] }),
    ])
  })
  after(async () => {
    await bench.errand.close()
    rmSync(folder, { recursive: true })
  })

  test('gets its input as JSON, and what it writes is the output', async () => {
    assert.deepEqual((await bench.run('echo', { path: 'ü.png' })).output, { path: 'ü.png' })
    assert.equal((await bench.run('quiet')).output, null)
    assert.equal((await bench.run('text')).output, 'plain words\n')
  })

  test('knows its job by the environment, and nothing that it was not given', async () => {
    const { output, id, token } = await bench.run('environment')
    assert.deepEqual(output, { id, attempt: 1, token, secret: '' })
  })

  test('what is no JSON fails the job for good, and says what to do', async () => {
    const job = await bench.run('words')
    assert.equal(job.reason, 'invalid-output')
    assert.match(lastError(job).message, /not JSON.*output: 'text'/)
  })

  test('another exit code fails the attempt with its last words, which are logged', async () => {
    const job = await bench.run('fails')
    assert.deepEqual([job.state, lastError(job).code], ['failed', 'program-failed'])
    assert.match(lastError(job).message, /exit code 3: first\nlast words/)
    const lines = (await bench.errand.jobs.logs(job.id)).map(({ text }) => text)
    assert.deepEqual(lines, ['first', 'last words'])
  })

  test('a signal fails the attempt by its name', async () => {
    assert.match(lastError(await bench.run('signalled')).message, /ended by SIGSEGV/)
  })

  test('one that writes without end is killed, and the job is too large', async () => {
    const job = await bench.run('much')
    assert.deepEqual([job.reason, lastError(job).code], ['invalid-output', 'too-large'])
  })

  test('of what it says only the start is logged', async () => {
    const job = await bench.run('chatty')
    assert.equal(job.output, 1)
    const lines = (await bench.errand.jobs.logs(job.id)).map(({ text }) => text)
    assert.match(lines.at(-1) ?? '', /after 64 KiB is not kept/)
    assert.ok(lines.join('').length < 80_000)
  })

  test('a timeout kills it with all that it has started', async () => {
    const job = await bench.run('hangs')
    assert.deepEqual([job.state, job.reason], ['failed', 'timeout'])
    const child = Number(readFileSync(join(folder, 'pid'), 'utf8'))
    await until(() => {
      try {
        return !/^State:\s+[^ZX]/m.test(readFileSync(`/proc/${child}/status`, 'utf8'))
      } catch {
        return true
      }
    })
  })

  test('a cancel lets it end in its own way', async () => {
    const job = await bench.errand.enqueue('polite')
    await until(() => existsSync(join(folder, 'polite')))
    await bench.errand.jobs.cancel(job.id)
    await assert.rejects(job.result({ timeout: '60s' }), { code: 'job-cancelled' })
    const lines = (await bench.errand.jobs.logs(job.id)).map(({ text }) => text)
    assert.deepEqual(lines, ['bye'])
  })

  test('one that is not here leaves the job to other workers', async () => {
    const job = await bench.errand.enqueue('nowhere')
    await until(async () => ((await bench.errand.jobs.get(job.id))?.deferrals ?? 0) > 0)
    const found = await bench.errand.jobs.get(job.id)
    assert.deepEqual([found?.attempts, found?.failures], [0, 0])
    const warning = bench.warnings.find(({ code }) => code === 'task-broken')
    assert.match(warning?.message ?? '', /nowhere cannot be started here.*ENOENT/)
  })

  test('runs inline and in tests of tasks as well', async () => {
    const echo = task({ name: 'echo', exec: shell('cat') })
    assert.deepEqual((await runTask(echo, { a: 1 })).output, { a: 1 })
    const job = await bench.errand.enqueue('quiet', null, { inline: true })
    assert.equal(await job.result(), null)
  })
})

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { createErrand, task, type JobRecord } from 'errand'
import { finish, newJob } from '../../src/testing/conformance/jobs.ts'
import { sqlite } from 'errand/sqlite'
import { redis } from 'errand/redis'
import { Redis } from 'ioredis'
import { canStartRedis, startRedis } from '../redis-server.ts'
import { errand, type Ended } from './command-line.ts'

/** Clears a screen, sets a title, fakes a line, turns the direction of what follows. */
const evil = 'x\u001b[2J\u001b]0;title\u0007\r\nfaked line\u009b31m\u202e'
/** What no terminal may get from a job; colours of our own are another matter, and off in a pipe. */
const commands = /(?!\n)[\p{Cc}\u2028-\u202E\u2066-\u2069]/u

suite('what jobs say reaches no terminal as commands', () => {
  let folder: string
  let id: string
  const run = (...args: readonly string[]): Promise<Ended> =>
    errand([...args, '--store', 'sqlite:errand.db'], { cwd: folder })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-terminal-'))
    // Errand takes no such names any more; what others wrote into a store may have them.
    const store = sqlite(join(folder, 'errand.db'))
    const entry = { kind: 'running', worker: 'worker', leaseMs: 60_000 } as const
    const job = newJob({ task: evil, queue: evil, input: JSON.stringify({ [evil]: evil }), entry })
    ;({ id } = job)
    const [born] = await store.insert([job])
    const held = { id, token: born?.token ?? 0 }
    await store.note([
      { ...held, kind: 'log', agoMs: 0, level: 'info', text: evil },
      { ...held, kind: 'progress', value: JSON.stringify(evil) },
    ])
    const error = { type: evil, message: evil, stack: evil, code: null, attempt: 1, at: Date.now() }
    await store.settle([
      finish(held, { state: 'failed', reason: evil, attempt: JSON.stringify(error), output: null }),
    ])
    const waiting = newJob({
      task: evil,
      queue: evil,
      input: JSON.stringify(evil),
      delayMs: 60_000,
    })
    await store.insert([waiting])
    await store.cancel([waiting.id], evil)
    await store.pause([evil])
    await store.close()
  })

  after(() => rm(folder, { recursive: true, force: true }))

  test('in lists, in the view of one job, and in errors', async () => {
    for (const args of [
      ['jobs', 'list'],
      ['jobs', 'show', id],
      ['jobs', 'result', id],
      ['jobs', 'result', id, '--verbose'],
      ['queues', 'list'],
      ['queues', 'resume', 'nobody'],
      ['workers'],
      ['doctor'],
      ['enqueue', 'nobody'],
      ['jobs', 'list', '--state', evil],
    ]) {
      const { stdout, stderr } = await run(...args)
      assert.doesNotMatch(`${stdout}${stderr}`, commands, args.join(' '))
      // A stack keeps its lines, at the end of all.
      const [beforeStack = ''] = `${stdout}${stderr}`.split(/\nLast error\n|\n.*Error: /)
      assert.doesNotMatch(beforeStack, /^\s*faked line/m, args.join(' '))
    }
    assert.match(
      (await run('jobs', 'show', id)).stdout,
      /x\\x1b\[2J\\x1b\]0;title\\x07\\x0d\\nfaked/,
    )
  })

  test('and colours of our own stay', async () => {
    const { stdout } = await errand(['jobs', 'list', '--store', 'sqlite:errand.db'], {
      cwd: folder,
      env: { FORCE_COLOR: '1' },
    })
    assert.ok(stdout.includes('\u001b[31mfailed\u001b[39m'), stdout)
    assert.ok(!stdout.includes('\u001b[2J'), stdout)
  })

  test('while JSON says the same, and holds none of them either', async () => {
    const { stdout } = await run('jobs', 'show', id, '--json')
    assert.doesNotMatch(stdout, commands)
    const job = JSON.parse(stdout) as JobRecord
    assert.equal(job.task, evil)
    assert.deepEqual(job.input, { [evil]: evil })
  })
})

if (canStartRedis()) {
  test('a password that was typed stands neither in the hint to the next page nor in an error', async (t) => {
    const server = await startRedis()
    t.after(() => server.stop())
    const admin = new Redis(server.url)
    t.after(() => admin.disconnect())
    const hello = task({ name: 'hello', run: () => 1 })
    const app = createErrand({ store: redis(server.url), tasks: [hello] })
    await app.enqueueMany([[hello], [hello]])
    await app.close()
    await admin.config('SET', 'requirepass', 's3cret')
    const list = (password: string): Promise<Ended> => {
      const url = `redis://:${password}@127.0.0.1:${server.port}?prefix=errand`
      return errand(['jobs', 'list', '--limit', '1', '--store', url, '--verbose'], {
        cwd: tmpdir(),
      })
    }
    const { stdout } = await list('s3cret')
    assert.match(stdout, /More: errand jobs list --store 'redis:\/\/…@127[^']+prefix=errand' /)
    assert.doesNotMatch(stdout, /s3cret/)
    for (const wrong of ['wr0ng', 'wr/0ng']) {
      const { code, stderr } = await list(wrong)
      assert.equal(code, 2, stderr)
      assert.doesNotMatch(stderr, /0ng/)
    }
  })
}

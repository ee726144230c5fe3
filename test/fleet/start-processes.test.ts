/** `startProcesses` of `errand/fleet`. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { createErrand, isErrandError, task } from 'errand'
import { startProcesses, type ProcessUsage, type StartProcessesOptions } from 'errand/fleet'
import { sqlite } from 'errand/sqlite'
import { makeProject, startNode } from '../cli/command-line.ts'
import { commandOf, configText, isAlive, until } from './harness.ts'

suite('startProcesses()', { concurrency: 2, timeout: 300_000 }, () => {
  test('returns processes that run jobs, are replaced when they end, and stop', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    const file = join(cwd, 'errand.db')
    const said: string[] = []
    const { processes, stop } = await startProcesses({
      processes: 2,
      config: pathToFileURL(join(cwd, 'errand.config.ts')),
      store: `sqlite:${file}`,
      slots: 1,
      queues: ['default'],
      poll: '1s',
      grace: '20s',
      abortGrace: '1s',
      log: (line) => said.push(line),
    })
    t.after(() => stop({ grace: 0 }))
    const errand = createErrand({ store: sqlite(file), tasks: [task({ name: 'nap' })] })
    t.after(() => errand.close())
    const pids = processes.map(({ pid }) => pid ?? 0)
    assert.ok(pids.every(isAlive))
    assert.deepEqual(
      processes.map(({ index, isActive }) => [index, isActive]),
      [
        [0, true],
        [1, true],
      ],
    )
    assert.match(commandOf(pids[1] ?? 0), /^errand worker 2\/2 .*--slots=1 .*--queue=default$/)
    assert.ok(!pids.some((pid) => commandOf(pid).includes(file)), 'no store on a command line')
    const workers = await errand.workers.list()
    assert.deepEqual(
      workers.map(({ slots, queues }) => [slots, queues]),
      [
        [1, ['default']],
        [1, ['default']],
      ],
    )
    process.kill(pids[0] ?? 0, 'SIGKILL')
    await until(() => processes[0]?.pid !== pids[0] && processes[0]?.isActive)
    assert.deepEqual(said, ['errand worker 1/2 was ended by SIGKILL; started again at once'])

    const job = await errand.enqueue('nap', 1_500)
    await until(async () => (await errand.jobs.get(job.id))?.progress !== undefined)
    const stopped = stop()
    assert.deepEqual(
      processes.map(({ isActive }) => isActive),
      [false, false],
    )
    await stopped
    assert.deepEqual(
      processes.map(({ pid }) => pid),
      [null, null],
    )
    assert.equal((await errand.jobs.get(job.id))?.state, 'completed')
  })

  test('shouldRestart is asked here, once a second; what it throws is logged once', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    const asked: ProcessUsage[] = []
    const said: string[] = []
    let wants: number | null = null
    const { processes, stop } = await startProcesses({
      processes: 1,
      config: join(cwd, 'errand.config.ts'),
      store: `sqlite:${join(cwd, 'errand.db')}`,
      shouldRestart: (usage) => {
        asked.push(usage)
        if (asked.length < 3) throw new Error('no')
        return usage.pid === wants
      },
      log: (line) => said.push(line),
    })
    t.after(() => stop({ grace: 0 }))
    const { pid } = processes[0] ?? {}
    await until(() => asked.length >= 4)
    assert.equal(processes[0]?.pid, pid)
    wants = pid ?? null
    await until(() => processes[0]?.pid !== pid && processes[0]?.isActive)
    assert.deepEqual(said, [
      'shouldRestart threw: no',
      'errand worker 1/1 is replaced: shouldRestart said so',
    ])
    await stop()
    const [first] = asked
    assert.equal(first?.pid, pid)
    assert.equal(first?.jobs, 0)
    assert.ok((first?.rss ?? 0) > 2 ** 24 && (first?.uptime ?? 0) > 0)
  })

  test('refuses what cannot work, and rejects when nothing starts', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': 'process.exit(2)' })
    const config = join(cwd, 'errand.config.ts')
    const good: StartProcessesOptions = { processes: 1, config }
    for (const [more, says] of [
      [{ processes: 0 }, /processes must be a whole number from 1 to 256, not 0/],
      [{ processes: 1.5 }, /processes must be a whole number/],
      [{ slots: 0 }, /slots must be a whole number/],
      [{ recycleAfter: 0 }, /recycleAfter must be a whole number/],
      [{ maxRss: '1kb' as never }, /maxRss must be an amount such as '512mb'/],
      [{ queues: [''] }, /queues/],
      [
        { config: new URL('https://errand.example/') },
        /config must be a path or the URL of a file/,
      ],
      [{ shouldRestart: 'yes' as never }, /shouldRestart must be a function/],
      [{ proceses: 2 } as object, /no option proceses.*processes/],
    ] as const) {
      await assert.rejects(startProcesses({ ...good, ...more }), (error) => {
        assert.ok(isErrandError(error, 'invalid-option'), String(error))
        assert.match(error.message, says)
        return true
      })
    }
    await assert.rejects(startProcesses(good), (error) => {
      assert.ok(isErrandError(error, 'cannot-start'))
      assert.match(error.message, /^errand worker 1\/1 did not start: it ended with exit code 2; /)
      return true
    })
  })

  test('the processes end with the program that started them', async (t) => {
    const program = `
      import { startProcesses } from 'errand/fleet'
      const { processes } = await startProcesses({ processes: 2, config: 'errand.config.ts' })
      console.log(processes.map(({ pid }) => pid).join(' '))
      process.exit(0)`
    const files = { 'errand.config.ts': configText, 'program.ts': program }
    const cwd = await makeProject(t, files)
    const { code, stdout } = await startNode(['--conditions=errand-source', 'program.ts'], { cwd })
      .ended
    assert.equal(code, 0)
    const pids = (/^(\d+) (\d+)$/m.exec(stdout) ?? []).slice(1).map(Number)
    assert.equal(pids.length, 2, stdout)
    await until(() => !pids.some(isAlive))
  })
})

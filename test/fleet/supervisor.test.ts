/** `errand worker --processes`: a supervisor and its processes, as an operator sees them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { errand, makeProject, root, start, startNode } from '../cli/command-line.ts'
import { tellMissing } from '../services.ts'
import {
  commandOf,
  configText,
  isAlive,
  linesOf,
  runner,
  startFleet,
  until,
  type LogLine,
} from './harness.ts'

/** How `unshare` runs a program as process 1. */
const ownNamespace = ['--fork', '--pid', '--mount-proc', '--kill-child']
const hasNamespaces = spawnSync('unshare', [...ownNamespace, 'true']).status === 0
if (!hasNamespaces)
  tellMissing('NO PROCESS 1 IS TESTED: install util-linux, and run the tests as root')

suite('a supervisor', { concurrency: 3, timeout: 120_000 }, () => {
  test('names its processes in titles, logs and records, and stops all of them', async (t) => {
    const { supervisor, pids, log, cwd } = await startFleet(t, 2, ['--processes', '2'])
    assert.deepEqual(pids().map(commandOf).toSorted(), [
      'errand worker 1/2 --processes 2',
      'errand worker 2/2 --processes 2',
    ])
    const { stdout } = await errand(['workers', '--json'], { cwd })
    const workers = JSON.parse(stdout) as { pid: number; process: object }[]
    const places = new Map(workers.map(({ pid, process }) => [pid, process]))
    assert.deepEqual(
      pids().map((pid) => places.get(pid)),
      [
        { index: 0, of: 2 },
        { index: 1, of: 2 },
      ],
    )
    const shown = await errand(['workers'], { cwd })
    assert.match(shown.stdout, / 1\/2 [\s\S]* 2\/2 |2\/2 [\s\S]* 1\/2 /)
    supervisor.kill('SIGTERM')
    const { code, stderr } = await supervisor.ended
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(
      new Set(log().map(({ name }) => name)),
      new Set(['errand worker 1/2', 'errand worker 2/2']),
    )
    assert.equal(log().filter(({ msg }) => msg.endsWith(' stopped')).length, 2)
  })

  test('replaces a process that dies at once, and one that dies again later and later', async (t) => {
    const { pids, log, staffed } = await startFleet(t, 2, ['--processes', '2'])
    const [victim = 0, other = 0] = pids()
    process.kill(victim, 'SIGKILL')
    const [second = 0] = (await staffed([victim])).filter((pid) => pid !== other)
    process.kill(second, 'SIGKILL')
    await staffed([victim, second])
    const said = log().filter(({ name }) => name === 'errand supervisor')
    assert.deepEqual(
      said.map(({ msg }) =>
        msg.replace(' before it was up', '').replace(/in [\d.]+ (?:ms|s)$/, 'in …'),
      ),
      [
        'errand worker 1/2 was ended by SIGKILL; started again at once',
        'errand worker 1/2 was ended by SIGKILL; started again in …',
      ],
    )
    assert.ok(isAlive(other))
  })

  test('a process that ends before it is up is said clearly, after five tries', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': 'process.exit(7)' })
    const { code, stdout } = await errand(['worker', '--processes', '3'], { cwd })
    assert.equal(code, 1)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg)
    assert.equal(lines.length, 5)
    assert.match(
      lines[3] ?? '',
      /^errand worker 1\/3 ended with exit code 7 before it was up; started again in /,
    )
    assert.equal(
      lines[4],
      'errand worker 1/3 did not start: it was tried 5 times, and the last one ended with exit code 7; what it wrote says why.',
    )
  })

  test('a configuration that is refused ends it with 2, having said so once', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': 'export default 1' })
    const { code, stdout, stderr } = await errand(['worker', '--processes', '3'], { cwd })
    assert.equal(code, 2)
    assert.match(stderr, /^error: The default export of errand\.config\.ts is a number; [^\n]*\n$/)
    assert.match(
      stdout,
      /^[^\n]*"errand worker 1\/3 did not start: it ended with exit code 2; [^\n]*\n$/,
    )
  })

  test('options that cannot work are refused in a line', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    for (const [args, says] of [
      [['--processes', '0'], /whole number from 1 up/],
      [['--processes', '1000000'], /auto, or at most 256/],
      [['--recycle-after', '0'], /whole number from 1 up/],
      [['--max-rss', '0'], /an amount such as '512mb'/],
    ] as const) {
      const { code, stderr } = await errand(['worker', ...args], { cwd })
      assert.equal(code, 2)
      assert.match(stderr, says)
      assert.match(stderr, /^[^\n]+\n$/)
    }
    const memory = configText.replaceAll('sqlite', 'memory').replace("'errand.db'", '')
    const unshared = await makeProject(t, { 'errand.config.ts': memory })
    const { code, stderr } = await errand(['worker', '--processes', '2'], { cwd: unshared })
    assert.equal(code, 2)
    assert.match(stderr, /^error: Each process would have a memory store of its own[^\n]*\n$/)
  })

  test('recycles a process after so many jobs, once what runs in it has ended', async (t) => {
    const options = ['--recycle-after', '3', '--slots', '4', '--grace', '0', '--abort-grace', '0']
    const { pids, errand: app, staffed, log } = await startFleet(t, 1, options)
    const [old = 0] = pids()
    const long = await app.enqueue('nap', 2_500)
    assert.equal(await runner(app, long.id), old)
    const short = await app.enqueueMany([1, 2, 3].map((ms) => ['nap', ms] as const))
    for (const job of short) assert.equal(await job.result({ timeout: '30s' }), old)
    assert.equal(await long.result({ timeout: '30s' }), old)
    const record = await app.jobs.get(long.id)
    assert.deepEqual([record?.attempt, record?.interruptions], [1, 0])
    await staffed([old])
    const said = log().find(({ name }) => name === 'errand supervisor')
    assert.match(said?.msg ?? '', /^errand worker 1\/1 is replaced: it has run 3 jobs$/)
  })

  test('recycles a process that holds too much memory', async (t) => {
    const { pids, errand: app, staffed, log } = await startFleet(t, 1, ['--max-rss', '400mb'])
    const old = pids()
    const held = await app.enqueue('hold', 500)
    await held.result({ timeout: '30s' })
    await staffed(old)
    assert.match(
      log()
        .map(({ msg }) => msg)
        .join('\n'),
      /is replaced: it holds [5-9]\d\d MB of memory/,
    )
  })

  test('shouldRestart replaces a process; what it throws is said once and changes nothing', async (t) => {
    const config = configText.replace(
      'createErrand({',
      `createErrand({ shouldRestart: ({ pid, uptime, jobs, rss }) => {
        if (jobs === 0) throw new Error('not yet')
        return pid === process.pid && uptime > 0 && rss > 0
      }, `,
    )
    const files = { 'errand.config.ts': config }
    const { pids, errand: app, staffed, log } = await startFleet(t, 1, ['--processes', '1'], files)
    const old = pids()
    await until(() => log().some(({ msg }) => msg.startsWith('shouldRestart threw')))
    await sleep(2_100)
    assert.deepEqual(pids(), old)
    const threw = log().filter(({ msg }) => /^shouldRestart threw, .*not yet/.test(msg))
    assert.equal(threw.length, 1)
    const nap = await app.enqueue('nap', 1)
    await nap.result({ timeout: '30s' })
    await staffed(old)
    assert.ok(
      log().some(({ msg }) => msg === 'errand worker 1/1 is replaced: shouldRestart said so'),
    )
  })

  test('SIGUSR2 restarts one after another, each new one up before the next stops', async (t) => {
    const { supervisor, pids, staffed, log } = await startFleet(t, 3, ['--processes', '3'])
    const old = pids()
    const since = log().length
    supervisor.kill('SIGUSR2')
    await staffed(old)
    const turns = log()
      .slice(since)
      .filter(({ msg }) => / started: | stops, /.test(msg))
      .toSorted((a, b) => a.time - b.time)
      .map(({ name, msg }) => `${name.slice(-3)} ${/ stops, /.test(msg) ? 'stops' : 'starts'}`)
    assert.deepEqual(turns, [
      '1/3 stops',
      '1/3 starts',
      '2/3 stops',
      '2/3 starts',
      '3/3 stops',
      '3/3 starts',
    ])
  })

  test('one that runs alone takes SIGUSR2 and SIGHUP as SIGTERM', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    for (const signal of ['SIGUSR2', 'SIGHUP'] as const) {
      const worker = start(['worker'], { cwd })
      await worker.shown(' started: ')
      worker.kill(signal)
      const { code, stdout } = await worker.ended
      assert.equal(code, 0)
      assert.match(stdout, /worker \S+ stopped"/)
    }
  })

  test('a second signal ends it at once, with all that it has started', async (t) => {
    const { supervisor, pids, log, errand: app } = await startFleet(t, 2, ['--processes', '2'])
    const nap = await app.enqueue('nap', 600_000)
    await runner(app, nap.id)
    const all = pids()
    supervisor.kill('SIGINT')
    // It has heard of the first one; those of the same second count once.
    await until(() => log().filter(({ msg }) => / stops, /.test(msg)).length === 2)
    await sleep(1_200)
    supervisor.kill('SIGINT')
    assert.equal((await supervisor.ended).code, 130)
    await until(() => !all.some(isAlive))
  })

  const asProcess1 = 'as process 1 of a container it says what it cannot do, and stops on SIGTERM'
  test(asProcess1, { skip: !hasNamespaces }, async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    const main = join(root, 'src/cli/main.ts')
    const program = `
      const { spawn } = require('node:child_process')
      const command = [process.execPath, '--conditions=errand-source', ${JSON.stringify(main)}]
      const args = [...${JSON.stringify(ownNamespace)}, ...command, 'worker', '--processes', '2']
      spawn('unshare', args, { stdio: 'inherit' }).on('exit', (code) => process.exit(code))`
    const container = startNode(['--eval', program], { cwd })
    const childrenOf = (of: number): number[] =>
      readFileSync(`/proc/${of}/task/${of}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
    t.after(() => {
      if (isAlive(container.pid))
        for (const pid of childrenOf(container.pid)) process.kill(pid, 'SIGKILL')
    })
    const lines = (): LogLine[] => linesOf(container)
    await until(() => lines().filter(({ msg }) => / started: /.test(msg)).length === 2)
    assert.match(lines()[0]?.msg ?? '', /^runs as process 1, and .*docker run --init/)
    assert.equal(lines()[0]?.pid, 1)
    const [unshare = 0] = childrenOf(container.pid)
    const [supervisor = 0] = childrenOf(unshare)
    process.kill(supervisor, 'SIGTERM')
    assert.equal((await container.ended).code, 0)
  })

  test('passes the output of its processes through as it is', async (t) => {
    const config = `${configText}\nprocess.stdout.write('begins here\\n')`
    const cwd = await makeProject(t, { 'errand.config.ts': config })
    const supervisor = start(['worker', '--processes', '2'], { cwd })
    t.after(() => supervisor.kill('SIGKILL'))
    await until(() => linesOf(supervisor).filter(({ msg }) => / started: /.test(msg)).length === 2)
    supervisor.kill('SIGTERM')
    const { stdout } = await supervisor.ended
    assert.equal(stdout.match(/^begins here$/gm)?.length, 2)
  })
})

/** `errand control` and what workers do at it, as processes. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { configText, errand, makeProject, root, start, type Running } from './command-line.ts'

interface Place {
  readonly cwd: string
  readonly run: (...args: readonly string[]) => Promise<string>
  readonly work: (...args: readonly string[]) => Promise<Running>
}

async function place(context: TestContext): Promise<Place> {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  return {
    cwd,
    async run(...args) {
      const { code, stdout, stderr } = await errand(args, { cwd })
      assert.equal(code, 0, stderr)
      return stdout
    },
    async work(...args) {
      const worker = start(['worker', ...args], { cwd })
      context.after(() => worker.kill('SIGKILL'))
      await worker.shown(' started: ')
      return worker
    },
  }
}

test('a group is paused, shown, and stopped by an exit with 0; one that starts later stops as well', async (context) => {
  const { run, work, cwd } = await place(context)
  const [api, other] = await Promise.all([work('--group', 'api'), work()])
  await run('control', 'pause', '--group', 'api', '--note', 'upgrade')
  await api.shown('claims nothing: control')
  const workers = await run('workers')
  assert.match(workers, /paused \(control\)/)
  assert.match(workers, /api/)
  assert.match(await run('control', 'list'), /pause\s+group api.*upgrade/)
  await run('control', 'stop', '--group', 'api')
  const ended = await api.ended
  assert.equal(ended.code, 0, ended.stderr)
  assert.match(ended.stdout, /is ended: stop by/)
  const late = await errand(['worker', '--group', 'api'], { cwd })
  assert.equal(late.code, 0, late.stderr)
  assert.match(late.stdout, /is ended: stop by/)
  await run('control', 'resume', '--group', 'api')
  assert.match(await run('control', 'list'), /Nothing is in force/)
  await work('--group', 'api')
  assert.doesNotMatch(other.written(), /claims nothing|is ended/)
})

test('a restart ends a worker with 5, its successor starts, and the order is obeyed once', async (context) => {
  const { run, work } = await place(context)
  const first = await work('--group', 'api')
  await run('control', 'restart', '--group', 'api')
  assert.equal((await first.ended).code, 5)
  const second = await work('--group', 'api')
  await run('enqueue', 'add', '{"a":1,"b":2}', '--wait')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  assert.doesNotMatch(second.written(), /is ended/)
})

test('a burst runs what is there and exits with 0', async (context) => {
  const { run, cwd } = await place(context)
  for (const a of [1, 2, 3]) await run('enqueue', 'add', `{"a":${a},"b":2}`)
  await run('enqueue', 'slow')
  const { code, stdout, stderr } = await errand(['worker', '--burst', '--no-keeper'], { cwd })
  assert.equal(code, 0, stderr)
  assert.equal(stdout.match(/"outcome":"completed"/g)?.length, 4)
})

test('a supervisor hears that a worker was told to stop, and nothing of a restart', async (context) => {
  const { run, cwd } = await place(context)
  // The mark of a process that a supervisor of Errand has started.
  const marked = 'globalThis[Symbol.for("errand.process")] = { index: 1, of: 2 }'
  const child = (): { said: unknown[]; ended: Promise<unknown[]>; up: Promise<void> } => {
    const own = fork(join(root, 'src/cli/main.ts'), ['worker', '--group', 'api'], {
      cwd,
      execArgv: ['--conditions=errand-source', '--import', `data:text/javascript,${marked}`],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    context.after(() => own.kill('SIGKILL'))
    const said: unknown[] = []
    own.on('message', (message) => said.push(message))
    const up = new Promise<void>((resolve) =>
      own.stdout?.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes(' started: ')) resolve()
      }),
    )
    return { said, ended: once(own, 'exit'), up }
  }
  const restarted = child()
  await restarted.up
  await run('control', 'restart', '--group', 'api')
  assert.deepEqual(await restarted.ended, [0, null])
  assert.deepEqual(restarted.said, [])
  const stopped = child()
  await stopped.up
  await run('control', 'stop', '--group', 'api')
  assert.deepEqual(await stopped.ended, [0, null])
  assert.deepEqual(stopped.said, [{ errand: { kind: 'done' } }])
})

test('errand serve --work goes on serving when its worker is ended, and works again after a restart', async (context) => {
  const { run, cwd } = await place(context)
  const serving = start(['serve', '--work', '--port', '0'], { cwd })
  context.after(() => serving.kill('SIGKILL'))
  await serving.shown(' started: ')
  const startsOf = (): number => serving.written().match(/ started: /g)?.length ?? 0
  await run('control', 'restart', '--all')
  while (startsOf() < 2) await new Promise((resolve) => setTimeout(resolve, 50))
  await run('enqueue', 'add', '{"a":1,"b":2}', '--wait')
  await run('control', 'stop', '--all')
  await serving.shown('is ended: stop')
  const url = /http:\/\/[\d.:]+/.exec(serving.written())?.[0] ?? ''
  const states = async (): Promise<string> => {
    const response = await fetch(`${url}/v1/workers`)
    const { workers } = (await response.json()) as { workers: { state: string; slots: number }[] }
    return workers.map(({ state, slots }) => `${state} ${slots}`).join()
  }
  while (!(await states()).startsWith('running 0'))
    await new Promise((resolve) => setTimeout(resolve, 50))
  serving.kill('SIGTERM')
  assert.equal((await serving.ended).code, 0)
})

test('wrong use is one line with exit code 2', async (context) => {
  const { cwd, work } = await place(context)
  await work()
  const refused = async (text: RegExp, ...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await errand(['control', ...args], { cwd })
    assert.equal(code, 2, stderr)
    assert.match(stderr, text)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  }
  await refused(/One of --queue, --task, --worker, --group, --all is needed; none/, 'pause')
  await refused(/several are given/, 'stop', '--all', '--group', 'api')
  await refused(/unknown option '--queue'/, 'stop', '--queue', 'mail')
  await refused(/Did you mean add/, 'pause', '--task', 'ad')
  await refused(/Did you mean mail/, 'pause', '--queue', 'mial')
  await refused(/No worker "x" runs/, 'drain', '--worker', 'x')
  const later = await errand(['control', 'pause', '--group', 'late'], { cwd })
  assert.equal(later.code, 0)
  assert.match(later.stderr, /No worker of the group late runs now/)
})

/** What is around handlers: wraps, where their modules are, and the advice for those that keep the event loop. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { inModule, task } from 'errand'
import { memory } from 'errand/memory'
import { lastError, open, until } from './harness.ts'
import type { add } from './tasks.ts'

/** Keeps the event loop. */
function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('a task that keeps the event loop is named once, with what to do', async () => {
  const at = task({ name: 'at-once', run: () => block(1_050) })
  const after = task({
    name: 'after-a-while',
    run: async () => {
      await delay(600)
      // The watch looks twice in a second.
      block(1_600)
      await delay(1)
    },
  })
  const innocent = task({ name: 'innocent', run: () => delay(1) })
  const { errand, run, warnings } = await open([at, after, innocent])
  await run('at-once')
  await run('innocent')
  await run('at-once')
  const named = (): readonly unknown[] =>
    warnings.flatMap((one) => (one.code === 'task-blocks-loop' ? [one.tasks] : []))
  assert.deepEqual(named(), [['at-once']])
  await run('after-a-while')
  await until(() => named().length > 1)
  assert.deepEqual(named(), [['at-once'], ['after-a-while']])
  assert.match(warnings[0]?.message ?? '', /isolate: 'thread' or 'process'/)
  await errand.close()
})

test('wraps run around the handler, that of the app outside, and pass on what it returns', async () => {
  const seen: string[] = []
  const one = task({
    name: 'one',
    wrap: async (job, next) => {
      seen.push(`task ${job.task} in`)
      const output = await next()
      seen.push('task out')
      return output
    },
    run: (input: number) => {
      seen.push('handler')
      return input + 1
    },
  })
  const { errand, run } = await open([one], {
    context: () => ({ tenant: 'a' }),
    wrap: async (job, next) => {
      seen.push(`app ${(job.context as { tenant: string }).tenant} in`)
      try {
        return await next()
      } finally {
        seen.push('app out')
      }
    },
  })
  assert.equal((await run('one', 1)).output, 2)
  assert.deepEqual(seen, ['app a in', 'task one in', 'handler', 'task out', 'app out'])
  await errand.close()
})

test('a wrap may fail the attempt, and calls next() no more than once', async () => {
  const refused = task({
    name: 'refused',
    retry: 'never',
    wrap: () => Promise.reject(new Error('not for this tenant')),
    run: () => assert.fail('it is not run'),
  })
  let runs = 0
  const twice = task({
    name: 'twice',
    retry: 'never',
    wrap: async (_job, next) => {
      await next()
      return next()
    },
    run: () => ++runs,
  })
  const { errand, run } = await open([refused, twice])
  assert.equal(lastError(await run('refused')).message, 'not for this tenant')
  assert.match(lastError(await run('twice')).message, /calls next\(\) once/)
  assert.equal(runs, 1)
  await errand.close()
})

test('a task that a glob finds is isolated without naming its module', async () => {
  const { errand, run } = await open(['./found-tasks.ts'])
  const output = (await run('found')).output as { readonly pid: number; readonly task: string }
  assert.equal(output.task, 'found')
  assert.notEqual(output.pid, process.pid)
  await errand.close()
})

test('an isolated task of which nobody knows the module stops the start', async () => {
  const lost = task({ name: 'lost', isolate: 'thread', run: () => undefined })
  await assert.rejects(open([lost]), {
    code: 'invalid-task',
    message: /lost at .*around\.test\.ts:\d+ is to run in a thread, .*module: import\.meta\.url/,
  })
})

test('a handler that is named by its module runs in the worker when it is not isolated', async () => {
  const adds = task({
    name: 'add',
    run: inModule<typeof add>(new URL('./tasks.ts', import.meta.url), 'add'),
  })
  const { errand, run } = await open([adds])
  assert.deepEqual((await run('add', { a: 2, b: 3 })).output, { sum: 5 })
  const job = await errand.enqueue(adds, { a: 1, b: 1 }, { inline: true })
  assert.deepEqual(await job.result(), { sum: 2 })
  await errand.close()
})

test('a function whose errors are judged by their class is not started', async () => {
  const judged = task({
    name: 'judged',
    retry: { when: [TypeError] },
    run: { module: new URL('./tasks.ts', import.meta.url), export: 'throwsError' },
    isolate: 'thread',
  })
  const { errand, warnings } = await open([judged])
  await errand.enqueue('judged')
  await until(() => warnings.length > 0)
  assert.match(warnings[0]?.message ?? '', /classes in retry\.when.*export the task itself/)
  await errand.close()
})

test(
  'a process for jobs starts while the worker does, and ends with a start that fails',
  { timeout: 60_000 },
  async (t) => {
    const children: ChildProcess[] = []
    const hear = (message: unknown): void =>
      void children.push((message as { readonly process: ChildProcess }).process)
    subscribe('child_process', hear)
    t.after(() => unsubscribe('child_process', hear))
    const store = Object.assign(memory(), {
      tend: async () => {
        await until(() => children.length > 0)
        throw new Error('the store is away')
      },
    })
    const module = new URL('./tasks.ts', import.meta.url)
    const adds = task({ name: 'add', run: { module, export: 'add' }, isolate: 'process' })
    await assert.rejects(open([adds], { store }), /away/)
    await until(() => children.every((one) => one.exitCode !== null || one.signalCode !== null))
  },
)

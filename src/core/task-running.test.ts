import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ErrandError } from './errors.ts'
import { task } from './task.ts'

/** Definitions that cannot work, as a program without types may give them. */
function refused(given: object, message: RegExp): void {
  const define = task as unknown as (given: object) => unknown
  assert.throws(
    () => define({ name: 'one', run: () => undefined, ...given }),
    (error: unknown) => error instanceof ErrandError && message.test(error.message),
    `${JSON.stringify(given)} is refused with ${String(message)}`,
  )
}

suite('where a task runs', () => {
  test('is read once, with a default for all that is not said', () => {
    const { isolate, module } = task({
      name: 'one',
      run: { module: new URL('file:///a.ts'), export: 'run' },
      isolate: { kind: 'process', memory: '1.5gb', fresh: true, env: ['A'] },
    }).definition
    assert.deepEqual(module, { url: 'file:///a.ts', export: 'run' })
    assert.deepEqual(isolate, {
      kind: 'process',
      memoryMb: 1_536,
      maxJobs: 1,
      permissions: null,
      env: ['A'],
      graceMs: 4_000,
      execPath: null,
      execArgv: null,
    })
  })

  test('what cannot work is refused, with what to give instead', () => {
    for (const [isolate, message] of [
      ['fork', /isolate must be 'thread' or 'process'/],
      [{}, /isolate\.kind must be/],
      [{ kind: 'thread', memroy: '1gb' }, /no option memroy\. Did you mean memory/],
      [{ kind: 'thread', memory: '8mb' }, /from 16mb/],
      [{ kind: 'thread', memory: '512' }, /'512mb'/],
      [{ kind: 'thread', maxJobs: 0 }, /maxJobs must be a whole number from 1/],
      [{ kind: 'thread', fresh: true, maxJobs: 3 }, /either fresh or maxJobs/],
      [{ kind: 'thread', permissions: {} }, /permissions needs kind: 'process'/],
      [{ kind: 'thread', execPath: '/usr/bin/node' }, /execPath needs kind: 'process'/],
      [{ kind: 'process', permissions: { read: '/tmp' } }, /read must be a list of paths/],
      [{ kind: 'process', grace: '6s' }, /grace is at most 5 s/],
      [{ kind: 'process', env: { A: 1 } }, /env must be a list of names/],
      [{ kind: 'process', module: './a.ts' }, /the URL of a file/],
    ] as const)
      refused({ isolate }, message)
    refused({ run: { module: 'https://a.b/c.js', export: 'run' } }, /the URL of a file/)
    refused({ run: { module: 'file:///a.ts', export: '' } }, /export must be a text/)
    refused({ exec: ['true'] }, /exec without run/)
    refused({ exec: ['true'], run: undefined, isolate: 'thread' }, /exec without isolate/)
    refused({ exec: 'true', run: undefined }, /takes its options as an object/)
    refused({ exec: [], run: undefined }, /program of task "one"\.exec/)
    refused({ exec: ['a', 1], run: undefined }, /takes texts without NUL/)
    refused({ output: 'text' }, /output is a schema, unless exec is given/)
    refused({ wrap: 1 }, /wrap must be a function/)
  })

  test('a secret value of an environment is not shown', () => {
    const env = { TOKEN: 42 }
    try {
      ;(task as unknown as (given: object) => unknown)({
        name: 'one',
        run: () => 1,
        isolate: { kind: 'process', env },
      })
      assert.fail('it is refused')
    } catch (error) {
      assert.ok(!String(error).includes('42'))
    }
  })
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createErrand, Discard, Postpone, task } from './index.ts'
import type { Store } from './store/store.ts'
import { memory } from './stores/memory/index.ts'
import { spying } from './testing/by-hand.ts'
import * as sample from './testing/sample-tasks.ts'

const run = promisify(execFile)

describe('createErrand', () => {
  it('opens nothing until it is used', async () => {
    const calls: string[] = []
    const store = spying(memory(), (call) => void calls.push(call))
    const errand = createErrand({
      store,
      tasks: ['does/not/exist/*.ts'],
      context: () => assert.fail('made a context'),
    })
    errand.worker()
    assert.deepEqual(calls, [])
    await errand.close()
    assert.deepEqual(calls, ['close'])
  })

  it('needs a store', () => {
    assert.throws(() => createErrand({} as { store: Store }), {
      code: 'invalid-option',
      message: /needs a store/,
    })
  })

  it('takes globs relative to the file that calls it, and modules', async () => {
    const errand = createErrand({ store: memory(), tasks: ['testing/sample-*.ts'] })
    const { id } = await errand.enqueue('sample.double', 4)
    assert.equal((await errand.jobs.get(id))?.queue, 'sums')
    const byModule = createErrand({ store: memory(), tasks: sample })
    assert.equal((await byModule.enqueue('sample.greet', 'you')).inserted, 'created')
  })

  it('tells which file fails to load, and refuses two tasks of one name', async () => {
    const errand = createErrand({ store: memory(), tasks: ['nowhere/*.ts'] })
    await assert.rejects(errand.enqueue('a'), {
      code: 'invalid-task',
      message: /No file matches nowhere/,
    })
    const twice = createErrand({
      store: memory(),
      tasks: [task({ name: 'a' }), task({ name: 'a' })],
    })
    await assert.rejects(twice.enqueue('a'), {
      code: 'duplicate-task',
      message: /errand\.test\.ts:\d+.*errand\.test\.ts:\d+/,
    })
  })

  it('makes the same app on another store', async () => {
    const first = createErrand({ store: memory(), tasks: ['testing/sample-*.ts'], priority: 4 })
    const second = first.withStore(memory())
    const { id } = await second.enqueue('sample.double', 4)
    assert.equal((await second.jobs.get(id))?.priority, 4)
    assert.deepEqual(await first.jobs.counts(), [])
  })

  it('is disposed by await using', async () => {
    let closed = 0
    {
      await using errand = createErrand({
        store: spying(memory(), (call) => void (call === 'close' && closed++)),
      })
      await errand.enqueue(task({ name: 'a' }))
    }
    assert.equal(closed, 1)
  })

  it('makes no worker once it is closed', async () => {
    const errand = createErrand({ store: memory() })
    await errand.close()
    assert.throws(() => errand.worker(), { code: 'closed' })
  })
})

describe('a process with an app', () => {
  const url = (path: string): string =>
    JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href)

  async function script(text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'errand-'))
    const file = join(folder, 'script.ts')
    const head = `import { createErrand, task } from ${url('index.ts')}\nimport { memory } from ${url('stores/memory/index.ts')}\n`
    try {
      await writeFile(file, head + text)
      const { stdout } = await run(process.execPath, ['--conditions=errand-source', file], {
        timeout: 20_000,
      })
      return stdout.trim()
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('ends by itself when the client is idle', async () => {
    const text = await script(`
      const errand = createErrand({ store: memory() })
      const job = await errand.enqueue(task({ name: 'a' }))
      console.log(job.inserted)`)
    assert.equal(text, 'created')
  })

  it('stays while a result is awaited', async () => {
    const text = await script(`
      const errand = createErrand({ store: memory() })
      const job = await errand.enqueue(task({ name: 'a' }))
      console.log(await job.result({ timeout: 300 }).catch((error) => error.code))`)
    assert.equal(text, 'result-timeout')
  })
})

describe('inline', () => {
  const store = memory()
  const errand = createErrand({ store, context: () => ({ factor: 3 }) })
  const triple = task({
    name: 'triple',
    run: (n: number, job) => n * (job.context as { factor: number }).factor,
  })
  const odd = task({
    name: 'odd',
    retry: { limit: 5 },
    run(how: 'discard' | 'postpone' | 'throw') {
      if (how === 'discard') throw new Discard('no need')
      if (how === 'postpone') throw new Postpone('1s')
      throw new TypeError('broken')
    },
  })

  it('runs the job in the calling process and stores its outcome', async () => {
    const job = await errand.enqueue(triple, 4, { inline: true })
    const record = await errand.jobs.get(job.id)
    assert.deepEqual([record?.state, record?.output, record?.attempts], ['completed', 12, 1])
    assert.equal(await job.result(), 12)
  })

  it('fails at the first error, and at a postponement; discards what is discarded', async () => {
    const end = async (how: 'discard' | 'postpone' | 'throw'): Promise<unknown> => {
      const { id } = await errand.enqueue(odd, how, { inline: true })
      const record = await errand.jobs.get(id)
      return [record?.state, record?.reason]
    }
    assert.deepEqual(await end('throw'), ['failed', 'error'])
    assert.deepEqual(await end('postpone'), ['failed', 'postpone-limit'])
    assert.deepEqual(await end('discard'), ['discarded', 'no need'])
  })

  it('follows up like any other', async () => {
    const { id } = await errand.enqueue(triple, 1, { inline: true, onSuccess: ['next'] })
    const { jobs } = await errand.jobs.list({ parent: id })
    assert.deepEqual(
      jobs.map(({ task, input, state }) => [task, input, state]),
      [['next', 3, 'ready']],
    )
  })

  it('does not run what its unique key holds back', async () => {
    const options = { unique: { key: 'k', for: '1h' }, inline: true } as const
    const first = await errand.enqueue(triple, 1, options)
    const second = await errand.enqueue(triple, 2, options)
    assert.deepEqual([second.id, second.inserted], [first.id, 'duplicate'])
  })

  it('needs the handler here, and cannot wait or belong to a transaction', async () => {
    await assert.rejects(errand.enqueue(task({ name: 'bare' }), undefined, { inline: true }), {
      code: 'invalid-task',
    })
    for (const option of [{ delay: 1 }, { runAt: new Date() }, { tx: {} }]) {
      await assert.rejects(errand.enqueue(triple, 1, { ...option, inline: true }), {
        code: 'invalid-option',
      })
    }
  })
})

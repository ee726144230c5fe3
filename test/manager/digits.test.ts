/** Numbers that no double holds: what a program of another language sends over HTTP is kept and shown digit by digit. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test, type TestContext } from 'node:test'
import { z } from 'zod'
import { createErrand, task, type Errand, type Store } from 'errand'
import { listen, manager, type ManagerOptions } from 'errand/manager'
import { memory } from 'errand/memory'
import { postgres as postgresStore } from 'errand/postgres'
import { redis as redisStore } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'

const postgres = await findPostgres()
const redis = await findRedis()
after(async () => {
  await postgres?.stop()
  await redis?.stop()
})

let files = 0
const folder = await mkdtemp(join(tmpdir(), 'errand-digits-'))
after(() => rm(folder, { recursive: true }))

const stores: Record<string, () => Promise<Store> | Store> = {
  memory,
  sqlite: () => sqlite(join(folder, `${(files += 1)}.db`)),
}
if (postgres !== null)
  stores['postgres'] = () => postgresStore(postgres.url, { schema: `digits_${process.pid}` })
if (redis !== null)
  stores['redis'] = () => redisStore(redis.url, { prefix: `digits-${process.pid}` })

/** Integers beyond 2^53, powers beyond a double, more digits than it has, and one that only looks whole. */
const long = [
  '9007199254740993',
  '-9007199254740993',
  '1e400',
  '-1e-400',
  '0.1000000000000000055',
  '9007199254740990.6',
  '1.00000000000000000001',
  '123456789012345678901234567890',
]
const numbers = `[${long.join(',')}]`
/** What stands beside them stays what it was. */
const input = `{"id":9007199254740993,"all":${numbers},"text":"9007199254740993, 1e400","n":[1,2.5,1e3]}`
const stored = input.replace('1e3', '1000')

const path = '/v1/queues/default/tasks/keep/jobs'

interface Scene {
  readonly errand: Errand
  /** What was handed to the handler. */
  readonly seen: unknown[]
  /** Sends a text as it is; resolves with the text of the answer, which must be good. */
  readonly send: (method: string, path: string, body?: string, key?: string) => Promise<string>
  /** A job as the API shows it. */
  readonly jobText: (id: string) => Promise<string>
}

async function scene(t: TestContext, store: Store, options: ManagerOptions = {}): Promise<Scene> {
  const seen: unknown[] = []
  const run = (given: unknown): void => void seen.push(given)
  const errand = createErrand({
    store,
    tasks: [
      task({ name: 'keep', run }),
      task({ name: 'once', unique: true, run }),
      task({ name: 'told', run: () => undefined }),
      task({
        name: 'fails',
        retry: 'never',
        onFailure: 'told',
        run: () => {
          throw new Error('no')
        },
      }),
      task({ name: 'exact', input: z.object({ n: z.int() }), run }),
    ],
    queues: { default: {}, far: {} },
  })
  const server = await listen(manager(errand, { access: 'open', ...options }), { port: 0 })
  t.after(async () => {
    await server.close({ grace: 0 })
    await errand.close()
  })
  const send: Scene['send'] = async (method, to, body, key) => {
    const response = await fetch(server.url + to, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    assert.ok(response.ok, `${response.status} ${text}`)
    return text
  }
  const jobText: Scene['jobText'] = (id) => send('GET', `/v1/jobs/${id}`)
  return { errand, seen, send, jobText }
}

/** Whether a property of an answer is this text. */
function shows(answer: string, name: string, json: string): void {
  assert.ok(answer.includes(`"${name}":${json},"`) || answer.includes(`"${name}":${json}}`), answer)
}

function idOf(text: string): string {
  return (JSON.parse(text) as { readonly id: string }).id
}

for (const [name, make] of Object.entries(stores))
  suite(`numbers on ${name}`, () => {
    test('an input shows the digits that were sent, whatever way it was added and is read', async (t) => {
      const { errand, seen, send, jobText } = await scene(t, await make())
      const one = idOf(await send('POST', path, input))
      const keyed = idOf(await send('POST', path, input, 'k'))
      // The same key with a number that a double takes for the same is another request.
      const other = input.replace('9007199254740993', '9007199254740992')
      await assert.rejects(send('POST', path, other, 'k'), /422.*key-reused/)
      assert.equal(idOf(await send('POST', path, input, 'k')), keyed)
      const many = await send(
        'POST',
        '/v1/jobs',
        `[{"task":"keep","input":1},{"task":"keep","input":${input}},{"task":"keep","input":1e400}]`,
      )
      const { jobs } = JSON.parse(many) as { readonly jobs: readonly { readonly id: string }[] }
      const [plain = '', two = '', bare = ''] = jobs.map(({ id }) => id)
      shows(await jobText(plain), 'input', '1')
      shows(await jobText(bare), 'input', '1e400')
      for (const id of [one, keyed, two]) shows(await jobText(id), 'input', stored)
      const listed = await send('GET', '/v1/jobs')
      assert.equal(listed.split(stored).length, 4, listed)

      const hits = async (value: string): Promise<number> => {
        const query = encodeURIComponent(`id=${value}`)
        const page = JSON.parse(await send('GET', `/v1/jobs?input=${query}`)) as { jobs: unknown[] }
        return page.jobs.length
      }
      assert.equal(await hits('9007199254740993'), 3)
      assert.equal(await hits('90071992547409930e-1'), 3)
      assert.equal(await hits('9007199254740992'), 0)
      const removal = `{"filter":{"search":{"path":["id"],"equals":9007199254740992}}}`
      assert.match(await send('POST', '/v1/jobs/remove', removal), /"counts":\{\}/)

      // A handler of JavaScript gets doubles.
      const worker = errand.worker()
      await worker.start()
      await errand.jobs.result(one, { timeout: '30s' })
      await worker.stop({ grace: 0 })
      assert.deepEqual(
        seen.find((given) => typeof given === 'object'),
        JSON.parse(input),
      )
      assert.deepEqual((await errand.jobs.get(one))?.input, JSON.parse(input))
    })

    test('a worker of another language gets the digits, and its output keeps its own', async (t) => {
      const { send, jobText } = await scene(t, await make())
      await send('POST', '/v1/work/tasks', '{"tasks":[{"name":"far","queue":"far"}]}')
      const id = idOf(await send('POST', '/v1/queues/far/tasks/far/jobs', input))
      const claimed = await send('POST', '/v1/work/claim', '{"tasks":["far"],"wait":10}')
      shows(claimed, 'input', stored)
      const { jobs } = JSON.parse(claimed) as { jobs: readonly { token: number }[] }
      const token = jobs[0]?.token
      await send('POST', `/v1/work/${id}/renew`, `{"token":${token},"progress":${long[0]}}`)
      shows(await jobText(id), 'progress', long[0] ?? '')
      await send('POST', `/v1/work/${id}/complete`, `{"token":${token},"output":${numbers}}`)
      assert.equal(await send('GET', `/v1/jobs/${id}/result`), `{"output":${numbers}}`)
      shows(await jobText(id), 'output', numbers)
      const taken = await send('POST', `/v1/jobs/${id}/take`, '{"id":"t"}')
      shows(taken, 'input', stored)
      shows(taken, 'output', numbers)
    })
  })

test('jobs whose inputs differ in a digit that a double loses are two, by their unique key', async (t) => {
  const { send } = await scene(t, memory())
  const to = '/v1/queues/default/tasks/once/jobs'
  const id = idOf(await send('POST', to, '{"id":9007199254740993}'))
  assert.notEqual(idOf(await send('POST', to, '{"id":9007199254740992}')), id)
  assert.equal(idOf(await send('POST', to, '{ "id": 900719925474099.30e1 }')), id)
})

test('what follows a failure is told of the digits', async (t) => {
  const { errand, send } = await scene(t, memory())
  const id = idOf(await send('POST', '/v1/queues/default/tasks/fails/jobs', '[1e400]'))
  const worker = errand.worker()
  await worker.start()
  t.after(() => worker.stop({ grace: 0 }))
  await assert.rejects(errand.jobs.result(id, { timeout: '30s' }), /failed/)
  const { jobs } = await errand.jobs.list({ task: 'told' })
  shows(await send('GET', `/v1/jobs/${jobs[0]?.id}`), 'input', '[1e400]')
})

test('a schema sees the double: what is none is refused', async (t) => {
  const { send } = await scene(t, memory())
  const to = '/v1/queues/default/tasks/exact/jobs'
  await assert.rejects(send('POST', to, '{"n":1e400}'), /422/)
  await assert.rejects(send('POST', to, '{"n":9007199254740993}'), /422/)
  await send('POST', to, '{"n":9007199254740991}')
})

test('a number that is hidden stays so in both of its forms, and the rest keeps its digits', async (t) => {
  const { send, jobText } = await scene(t, memory(), { redact: ['input.pin'] })
  const sent = '{"pin":9007199254740993,"echo":[9007199254740993],"n":1e400}'
  const id = idOf(await send('POST', path, sent))
  shows(await jobText(id), 'input', '{"pin":"[redacted]","echo":[9007199254740993],"n":1e400}')
  await send('POST', '/v1/work/tasks', '{"tasks":[{"name":"far","queue":"far"}]}')
  const far = idOf(await send('POST', '/v1/queues/far/tasks/far/jobs', sent))
  const claimed = await send('POST', '/v1/work/claim', '{"tasks":["far"],"wait":10}')
  const token = (JSON.parse(claimed) as { jobs: readonly { token: number }[] }).jobs[0]?.token
  const output = '[9007199254740993,9007199254740992,"pin 9007199254740993",1e400]'
  await send('POST', `/v1/work/${far}/complete`, `{"token":${token},"output":${output}}`)
  shows(await jobText(far), 'output', '["[redacted]","[redacted]","pin [redacted]",1e400]')
})

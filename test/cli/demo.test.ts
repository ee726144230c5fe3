import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { createErrand, type JobRecord } from 'errand'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import type { Store } from '../../src/store/store.ts'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import { root, startNode, type Running } from './command-line.ts'

const files = 600
const servers = { postgres: await findPostgres(), redis: await findRedis() }
after(async () => {
  for (const server of Object.values(servers)) await server?.stop()
})

const started = 'a demo that is killed in the middle finishes the rest and repeats nothing'

test(`${started}, on SQLite`, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-demo-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'data/demo.db')
  await killedAndStarted(context, `sqlite:${file}`, sqlite(file))
})

if (servers.postgres !== null) {
  const { url } = servers.postgres
  test(`${started}, on PostgreSQL, in a schema of its own`, (context) =>
    killedAndStarted(context, url, postgres(url, { schema: 'errand_demo' })))
}

if (servers.redis !== null) {
  const { url } = servers.redis
  test(`${started}, on Redis, under a prefix of its own`, (context) =>
    killedAndStarted(context, url, redis(url, { prefix: 'errand-demo' })))
}

test('a demo without its server says so in a line', async () => {
  const demo = startNode(
    [
      '--conditions=errand-source',
      join(root, 'demo/main.ts'),
      join(root, 'demo'),
      '--store',
      'postgres://me:secret@127.0.0.1:1/none',
    ],
    { cwd: root },
  )
  const { code, stderr } = await demo.ended
  assert.equal(code, 2)
  assert.match(stderr, /^error: postgres:\/\/127\.0\.0\.1:1\/none.*nothing listens there.*\n$/)
})

async function killedAndStarted(context: TestContext, url: string, store: Store): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), 'errand-demo-'))
  context.after(() => rm(place, { recursive: true, force: true }))
  const folder = join(place, 'files')
  await mkdir(join(folder, 'below'), { recursive: true })
  for (let i = 0; i < files; i += 1)
    await writeFile(join(folder, i % 2 === 0 ? '' : 'below', `${i}.txt`), textOf(i))
  await writeFile(join(folder, 'picture.png'), 'no text')

  const app = createErrand({ store })
  context.after(() => app.close())
  // What an earlier run left on a server that outlives it.
  if (app.store.info.kind !== 'sqlite') await app.jobs.remove({})
  const demo = (): Running =>
    startNode(['--conditions=errand-source', join(root, 'demo/main.ts'), folder, '--store', url], {
      cwd: place,
    })
  const completed = async (): Promise<ReadonlyMap<string, JobRecord>> => {
    const { jobs } = await app.jobs.list({ state: 'completed', limit: 1_000 })
    return new Map(jobs.map((job) => [(job.input as { readonly path: string }).path, job]))
  }

  const first = demo()
  await first.shown(`${files} text files`)
  while (((await app.jobs.counts()).find(({ state }) => state === 'completed')?.count ?? 0) < 30) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  first.kill('SIGKILL')
  await first.ended
  const before = await completed()
  assert.ok(before.size >= 30 && before.size < files, `killed after ${before.size} of ${files}`)

  const { code, stdout, stderr } = await demo().ended
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(stdout, /were known from an earlier run/)
  assert.match(stdout, new RegExp(`^files +${files}$`, 'm'))
  assert.match(stdout, /^SLOWEST +SIZE +TOOK$/m)
  assert.match(stdout, /errand -- jobs list --config demo\/errand\.config\.ts/)

  const end = await completed()
  assert.equal(end.size, files)
  const counts = (await app.jobs.counts()).filter(({ count }) => count > 0)
  assert.deepEqual(counts, [{ queue: 'files', state: 'completed', count: files }])
  for (const [path, job] of before) {
    const now = end.get(path)
    assert.deepEqual([now?.id, now?.token, now?.finishedAt], [job.id, job.token, job.finishedAt])
  }

  const third = await demo().ended
  assert.match(third.stdout, new RegExp(`^${files} of them were known`, 'm'))
  assert.match(third.stdout, /^done in this run +0 in /m)
}

/** Text that takes a while to compress. */
function textOf(seed: number): string {
  let value = seed + 1
  return Array.from({ length: 12_000 }, () => {
    value = (value * 48_271) % 2_147_483_647
    return (value % 1_000_000).toString(36)
  }).join(' ')
}

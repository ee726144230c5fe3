import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createErrand, type JobRecord } from 'errand'
import { sqlite } from 'errand/sqlite'
import { root, startNode, type Running } from './command-line.ts'

const files = 600

test('a demo that is killed in the middle finishes the rest and repeats nothing', async (context) => {
  const place = await mkdtemp(join(tmpdir(), 'errand-demo-'))
  context.after(() => rm(place, { recursive: true, force: true }))
  const folder = join(place, 'files')
  await mkdir(join(folder, 'below'), { recursive: true })
  for (let i = 0; i < files; i += 1)
    await writeFile(join(folder, i % 2 === 0 ? '' : 'below', `${i}.txt`), textOf(i))
  await writeFile(join(folder, 'picture.png'), 'no text')

  const store = join(place, 'data/demo.db')
  const app = createErrand({ store: sqlite(store) })
  context.after(() => app.close())
  const demo = (): Running =>
    startNode(
      [
        '--conditions=errand-source',
        join(root, 'demo/main.ts'),
        folder,
        '--store',
        `sqlite:${store}`,
      ],
      { cwd: place },
    )
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
})

/** Text that takes a while to compress. */
function textOf(seed: number): string {
  let value = seed + 1
  return Array.from({ length: 12_000 }, () => {
    value = (value * 48_271) % 2_147_483_647
    return (value % 1_000_000).toString(36)
  }).join(' ')
}

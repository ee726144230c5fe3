import assert from 'node:assert/strict'
import test from 'node:test'
import type { ListQuery, Page } from '../store/readers.ts'
import { newJob } from '../testing/conformance/jobs.ts'
import { memory } from './memory/index.ts'
import { searched } from './search.ts'

test('a search for few among many reads few pages, and ends each where its last job stands', async () => {
  const store = memory()
  const jobs = Array.from({ length: 3_000 }, (_, n) =>
    newJob({ tags: n % 600 === 5 ? ['rare', 'any'] : ['any'] }),
  )
  await store.insert(jobs)
  let pages = 0
  const list = (query: ListQuery): Promise<Page> => {
    pages += 1
    return store.list(query)
  }
  const all = async (tag: string, limit: number): Promise<string[]> => {
    const ids: string[] = []
    for (let after: string | null = null; ;) {
      const page: Page = await searched({ tag, limit, ...(after === null ? {} : { after }) }, list)
      assert.ok(page.jobs.length <= limit)
      ids.push(...page.jobs.map(({ id }) => id))
      after = page.next
      if (after === null) return ids
    }
  }
  const rare = jobs.filter(({ tags }) => tags.includes('rare')).map(({ id }) => id)
  assert.deepEqual(await all('rare', 1), rare.toReversed())
  assert.ok(pages < 50, `${pages} pages`)
  pages = 0
  const some = await all('any', 700)
  assert.deepEqual(some, jobs.map(({ id }) => id).toReversed())
  assert.ok(pages < 30, `${pages} pages`)
})

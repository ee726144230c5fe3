import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import fc from 'fast-check'
import { sqlite } from './index.ts'

/** Characters at the ends of what UTF-16 and UTF-8 order differently, and at the last of all. */
const character = fc.constantFrom(
  'a',
  'b',
  '%',
  '\u{d7ff}',
  '\u{e000}',
  '\u{ffff}',
  '\u{1f600}',
  '\u{10ffff}',
)
const text = fc.array(character, { maxLength: 3 }).map((characters) => characters.join(''))

test('records are listed by any prefix, page by page, each once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const store = sqlite(join(folder, 'jobs.db'))
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  const isSame = fc.asyncProperty(fc.uniqueArray(text), text, async (keys, prefix) => {
    const old = await store.listRecords({ prefix: '', after: null, limit: 1_000 })
    await store.putRecords(old.map(({ key }) => ({ key, text: null })))
    await store.putRecords(keys.map((key) => ({ key, text: key })))
    const found: string[] = []
    for (let after: string | null = null; ;) {
      const page = await store.listRecords({ prefix, after, limit: 2 })
      found.push(...page.map(({ key }) => key))
      if (page.length < 2) break
      after = page[1]!.key
    }
    const bytes = (key: string): Buffer => Buffer.from(key)
    const expected = keys
      .filter((key) => key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
    assert.deepEqual(found, expected)
  })
  await fc.assert(isSame, { numRuns: 200 })
})

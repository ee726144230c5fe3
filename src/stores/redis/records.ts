/**
 * Small texts by key, each in the partition of its key: the hash `records`, and `recordkeys`, a
 * sorted set of the keys in the order of their bytes, which is that of their code points.
 */
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../store/records.ts'
import { textArg } from './encoding.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { mostListed } from './pages.ts'
import { scriptOf } from './script.ts'

export const recordsLua: string = String.raw`
-- Writes a record; nil removes it.
local function putRecord(key, value)
  if value == nil then
    if call('HDEL', root .. 'records', key) == 1 then call('ZREM', root .. 'recordkeys', key) end
  elseif call('HSET', root .. 'records', key, value) == 1 then
    call('ZADD', root .. 'recordkeys', 0, key)
  end
  hint(RECORD)
end

-- Writes a record if it holds what it must, nil for none, and returns whether it did.
local function moveRecord(key, from, to)
  if (call('HGET', root .. 'records', key) or nil) ~= from then return false end
  putRecord(key, to)
  return true
end
`

const PUT = scriptOf(
  'put records',
  [recordsLua],
  `
-- ARGV[4...]: for each record its key, its text, 'i' if it must hold something, and what. A text
-- that may be null has a '=' before it.
local answers = {}
while at < #ARGV do
  local key, value = nextArg(), textIn(nextArg())
  local isBound, from = nextArg() == 'i', textIn(nextArg())
  if isBound then answers[#answers + 1] = moveRecord(key, from, value) and 'p' or 's'
  else
    putRecord(key, value)
    answers[#answers + 1] = 'p'
  end
end
return { hinted(), concat(answers) }
`,
  'is-refused',
)

const GET = scriptOf(
  'get records',
  [],
  `
-- ARGV[4...]: keys
if #ARGV == 3 then return {} end
return call('HMGET', root .. 'records', unpack(ARGV, 4))
`,
)

const LIST = scriptOf(
  'list records',
  [],
  `
-- ARGV[4...6]: where to begin, as a bound of ZRANGE BYLEX; the prefix; most records, 1,000 or fewer
local from, prefix, limit = nextArg(), nextArg(), nextArg()
-- No text has a byte of 255.
local to = '(' .. prefix .. string.char(255)
local keys = call('ZRANGE', root .. 'recordkeys', from, to, 'BYLEX', 'LIMIT', 0, limit)
if #keys == 0 then return { {}, {} } end
return { keys, call('HMGET', root .. 'records', unpack(keys)) }
`,
)

export async function putRecords(
  partition: Partition,
  writes: readonly RecordWrite[],
): Promise<Answered<PutAnswer[]>> {
  const args = writes.flatMap(({ key, text, if: from }) => [
    key,
    textArg(text),
    from === undefined ? '' : 'i',
    textArg(from ?? null),
  ])
  const [hinted, letters] = (await partition.run(PUT, args)) as [number, string]
  return { hinted, answer: Array.from(letters, (letter) => (letter === 'p' ? 'put' : 'stale')) }
}

export async function getRecords(
  partition: Partition,
  keys: readonly string[],
): Promise<(string | null)[]> {
  return (await partition.run(GET, keys)) as (string | null)[]
}

/** Lists the records of a partition in the order of `byKey`, at most 1,000. */
export async function listRecords(
  partition: Partition,
  { prefix, after, limit }: RecordsQuery,
): Promise<StoredRecord[]> {
  const isBehind = after !== null && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0
  const from = isBehind ? `(${after}` : `[${prefix}`
  const reply = await partition.run(LIST, [from, prefix, String(Math.min(limit, mostListed))])
  const [keys, texts] = reply as [string[], string[]]
  return keys.map((key, n) => ({ key, text: texts[n] ?? '' }))
}

/** The order in which Redis keeps keys. */
export function byKey(a: StoredRecord, b: StoredRecord): number {
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))
}

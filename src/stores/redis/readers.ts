/** Reading jobs. */
import type { LogLevel, LogLine } from '../../core/job.ts'
import type { ListQuery, QueueCount, Recorded, RecordedQuery } from '../../store/readers.ts'
import type { StoredJob } from '../../store/job.ts'
import { nearestTime } from '../unreadable.ts'
import { escape, nullable, textArg, unescape, whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { isPacked, packId } from './ids.ts'
import type { Partition } from './partitions/partition.ts'
import { packParent } from './job-fields.ts'
import { readStored, type Shown } from './row-readers.ts'
import { mostListed } from './pages.ts'
import { scriptOf } from './script.ts'
import { codeOf, stateOf } from '../state-codes.ts'

/** Shows a job to the client: see `Shown`. */
export const showLua: string = String.raw`
local function show(id, record)
  local r = parse(id, record)
  local state = stateOf(r)
  local lease = state == RUNNING and call('HGET', root .. 'running', id) or ''
  local progress = has(r, 'p') and call('GET', root .. 'p:' .. id)
  local attempts = has(r, 'a') and call('LRANGE', root .. 'a:' .. id, 0, -1) or {}
  return { id, record, state, lease, progress and '=' .. progress or '', attempts }, r, state
end
`

const GET = scriptOf(
  'get',
  [...jobsLua, showLua],
  `
-- ARGV[4...]: ids
local shown = {}
while at < #ARGV do
  local id = nextArg()
  local record = call('GET', keyOf(id))
  shown[#shown + 1] = record and show(id, record) or false
end
return shown
`,
)

const LOGS = scriptOf(
  'logs',
  [],
  `
-- ARGV[4]: id
return call('LRANGE', root .. 'l:' .. nextArg(), 0, -1)
`,
)

const RECORDED = scriptOf(
  'recorded',
  [],
  `
-- ARGV[4...6]: id, the last name of the page before with a '=' or '', most records, 1,000 or fewer
local id, after, limit = nextArg(), textIn(nextArg()), nextArg()
local from = after and '(' .. after or '-'
local names = call('ZRANGE', root .. 'rn:' .. id, from, '+', 'BYLEX', 'LIMIT', 0, limit)
if #names == 0 then return { {}, {} } end
return { names, call('HMGET', root .. 'r:' .. id, unpack(names)) }
`,
)

const COUNTS = scriptOf('counts', [], `return call('HGETALL', root .. 'tally')`)

/**
 * Walks the log of insertions from its end, chunk by chunk; or a group, or the few jobs that ended
 * otherwise than completed.
 */
const LIST = scriptOf(
  'list',
  [...jobsLua, showLua],
  String.raw`
-- ARGV[4...6]: rank before which to begin or '', most jobs to return, states as bits or ''
-- ARGV[7...15]: tasks, each with a tab before and after it, queue, key, parent, group, created from
-- and to, finished from and to; '' for any
local before = tonumber(nextArg()) or math.huge
local limit, states = tonumber(nextArg()), tonumber(nextArg())
local tasks, queue, key, parent, group = nextArg(), nextArg(), nextArg(), nextArg(), nextArg()
local createdFrom, createdTo, finishedFrom, finishedTo =
  tonumber(nextArg()), tonumber(nextArg()), tonumber(nextArg()), tonumber(nextArg())

local function fits(r)
  return (tasks == '' or find(tasks, '\t' .. r.task .. '\t', 1, true)) and (queue == '' or '=' .. r.queue == queue)
    and (key == '' or (r.key and '=' .. r.key == key)) and (parent == '' or r.parent == parent)
    and (not createdFrom or r.created >= createdFrom) and (not createdTo or r.created < createdTo)
    and (not finishedFrom or (r.finishedAt and r.finishedAt >= finishedFrom))
    and (not finishedTo or (r.finishedAt and r.finishedAt < finishedTo))
    and (not states or floor(states / 2 ^ stateOf(r)) % 2 == 1)
end

local found, looked, size, next = {}, 0, 0, nil
local function look(ids)
  local rows, met = {}, {}
  for _, id in ipairs(ids) do
    local r = not met[id] and glance(id)
    met[id] = true
    if r and r.seq < before then rows[#rows + 1] = r end
  end
  sort(rows, function(x, y) return x.seq > y.seq end)
  looked = looked + #ids
  return rows
end

local function add(r)
  if not fits(r) then return true end
  if #found == limit or size >= HANDED then return false end
  local record = call('GET', keyOf(r.id))
  size = size + #record
  found[#found + 1] = show(r.id, record)
  found[#found][7] = r.seq
  next = r.seq
  return true
end

-- Those of a group by insertion; and those that neither wait, run nor are completed, which alone
-- are in 'others'.
local index = group ~= '' and 'g:' .. sub(group, 2) or states and states % 32 == 0 and 'others'
if index then
  local from = before == math.huge and '+inf' or '(' .. text(before)
  local ids = call('ZRANGE', root .. index, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, MOST)
  for _, r in ipairs(look(ids)) do
    if not add(r) then return { found, text(next), size >= HANDED and 1 or 0 } end
  end
  if #ids < MOST then return { found, '' } end
  return { found, call('ZSCORE', root .. index, ids[#ids]) }
end

local from = before == math.huge and '+inf' or floor((before - 1) / CHUNK)
while true do
  local chunk = call('ZRANGE', root .. 'chunks', from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1]
  if not chunk then return { found, '' } end
  if looked >= MOST - CHUNK then return { found, text((tonumber(chunk) + 1) * CHUNK) } end
  for _, r in ipairs(look(call('LRANGE', root .. 'log:' .. chunk, 0, -1))) do
    if floor(r.seq / CHUNK) == tonumber(chunk) and not add(r) then return { found, text(next), size >= HANDED and 1 or 0 } end
  end
  from = '(' .. chunk
end
`,
)

/** Reads jobs of a partition; null for those that it does not know. */
export async function get(
  partition: Partition,
  ids: readonly string[],
): Promise<(StoredJob | null)[]> {
  const shown = (await partition.run(GET, ids.map(packId))) as (Shown | null)[]
  return shown.map((one) => (one === null ? null : readStored(one)))
}

export async function logs(partition: Partition, id: string): Promise<LogLine[]> {
  const packed = packId(id)
  if (!isPacked(packed)) return []
  return ((await partition.run(LOGS, [packed])) as string[]).map((line) => {
    const [at = '0', level = 'info'] = line.split('\t', 2)
    const text = line.slice(at.length + level.length + 2)
    return { at: nearestTime(at), level: level as LogLevel, text }
  })
}

/** The records of a job's runs in the order of their names, at most 1,000. */
export async function recorded(
  partition: Partition,
  { id, after, limit }: RecordedQuery,
): Promise<Recorded[]> {
  const packed = packId(id)
  if (!isPacked(packed)) return []
  const args = [packed, textArg(after), String(Math.min(limit, mostListed))]
  const [names, texts] = (await partition.run(RECORDED, args)) as [string[], string[]]
  return names.map((name, n) => ({ name, text: texts[n] ?? '' }))
}

export async function counts(partition: Partition): Promise<QueueCount[]> {
  const flat = (await partition.run(COUNTS)) as string[]
  const found: QueueCount[] = []
  for (let n = 0; n < flat.length; n += 2) {
    const field = flat[n] ?? ''
    found.push({
      state: stateOf(Number(field.slice(0, 1))),
      queue: unescape(field.slice(2)),
      count: Number(flat[n + 1]),
    })
  }
  return found
}

/** A page of one partition; `next` is the rank of insertion before which the next one begins. */
export interface PartPage {
  readonly jobs: readonly { readonly job: StoredJob; readonly rank: number }[]
  readonly next: number | null
  /** Whether it ended for the size of what it shows. */
  readonly cut: boolean
}

/** Lists jobs of a partition by insertion, newest first, and looks at a bounded number of them. */
export async function list(
  partition: Partition,
  query: ListQuery,
  before: number | null,
): Promise<PartPage> {
  const bits = query.states?.reduce((sum, state) => sum | (1 << codeOf(state)), 0)
  const args = [
    whole(before),
    String(query.limit),
    bits === undefined ? '' : String(bits),
    query.tasks === undefined ? '' : `\t${query.tasks.map(escape).join('\t')}\t`,
    query.queue === undefined ? '' : `=${escape(query.queue)}`,
    query.uniqueKey === undefined ? '' : nullable(query.uniqueKey),
    query.parent === undefined ? '' : packParent(query.parent),
    query.group === undefined ? '' : nullable(query.group),
    ...[query.createdFrom, query.createdTo, query.finishedFrom, query.finishedTo].map((time) =>
      time === undefined ? '' : String(time),
    ),
  ]
  const [found, next, cut] = (await partition.run(LIST, args)) as [
    (readonly unknown[])[],
    string,
    number?,
  ]
  return {
    jobs: found.map((one) => ({
      job: readStored(one as unknown as Shown),
      rank: Number(one[6]),
    })),
    next: next === '' ? null : Number(next),
    cut: cut === 1,
  }
}

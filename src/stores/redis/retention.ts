/** Which finished jobs have been kept long enough, and their removal in chunks. */
import { workerRecordKeptMs } from '../bounds.ts'
import { jobsLua } from './fragments.ts'
import type { Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

export const retentionLua: string = String.raw`
-- The oldest job of those that are kept for one length of time; nil when there is none. Drops
-- entries that jobs left behind.
local function oldestKept(keep)
  local list = root .. 'kept:' .. keep
  for n = 1, MOST do
    local entry = call('LINDEX', list, 0)
    if not entry then
      call('ZREM', root .. 'keeps', keep)
      return nil
    end
    local r = load(sub(entry, 1, IDLENGTH))
    if r and r.state and r.ticket == sub(entry, IDLENGTH + 1) then return r end
    call('LPOP', list)
  end
  return nil
end

-- The lists that may hold a job which was kept long enough.
local function dueKeeps() return call('ZRANGE', root .. 'keeps', '-inf', now, 'BYSCORE', 'LIMIT', 0, MOST) end

-- The oldest job of a list if it was kept long enough; else remembers when it will have been.
local function outlived(keep)
  local r = oldestKept(keep)
  if not r then return nil end
  local ends = r.finishedAt + tonumber(keep)
  if ends <= now then return r end
  call('ZADD', root .. 'keeps', ends, keep)
  return nil
end

-- Whether finished jobs have outlived their retention.
local function needsPrune()
  for _, keep in ipairs(dueKeeps()) do
    if outlived(keep) then return true end
  end
  return false
end
`

const PRUNE = scriptOf(
  'prune',
  [...jobsLua, retentionLua],
  String.raw`
-- ARGV[4...7]: most jobs to remove, finished jobs to leave, ms for which worker records are kept
local limit, cap, workerKept = min(MOST, tonumber(nextArg())), tonumber(nextArg()), tonumber(nextArg())
local removed = 0
local function drop(keep, r)
  call('LPOP', root .. 'kept:' .. keep)
  erase(r, r.state, true)
  removed = removed + 1
end

for _, keep in ipairs(dueKeeps()) do
  while removed < limit do
    local r = outlived(keep)
    if not r then break end
    drop(keep, r)
  end
end

local finished = -removed
local counts = call('HGETALL', root .. 'tally')
for n = 1, #counts, 2 do
  if tonumber(sub(counts[n], 1, 1)) >= COMPLETED then finished = finished + tonumber(counts[n + 1]) end
end
local heads = {}
if finished > cap then
  for _, keep in ipairs(call('ZRANGE', root .. 'keeps', 0, MOST - 1)) do heads[keep] = oldestKept(keep) end
end
while finished > cap and removed < limit do
  local first
  for keep, r in pairs(heads) do
    local other = first and heads[first]
    if not other or r.finishedAt < other.finishedAt or (r.finishedAt == other.finishedAt and r.seq < other.seq) then first = keep end
  end
  if not first then break end
  drop(first, heads[first])
  heads[first] = oldestKept(first)
  finished = finished - 1
end

local stale = call('ZRANGE', root .. 'seen', '-inf', '(' .. text(now - workerKept), 'BYSCORE', 'LIMIT', 0, MOST)
if #stale > 0 then
  call('ZREM', root .. 'seen', unpack(stale))
  call('HDEL', root .. 'workers', unpack(stale))
end
for _, key in ipairs(call('ZRANGE', root .. 'untils', '-inf', now, 'BYSCORE', 'LIMIT', 0, MOST)) do
  local id, isListed, untilAt = readKey(key)
  if id and not isListed and untilAt <= now then call('DEL', root .. 'u:' .. key) end
  if not id or isListed or untilAt <= now then call('ZREM', root .. 'untils', key) end
end
close()
return removed
`,
)

/**
 * Removes finished jobs of a partition: first those beyond their retention, then the oldest beyond
 * the newest `cap`.
 */
export async function prune(
  partition: Partition,
  request: { readonly limit: number; readonly cap: number },
): Promise<number> {
  const args = [request.limit, request.cap, workerRecordKeptMs].map((n) => String(Math.floor(n)))
  return (await partition.run(PRUNE, args)) as number
}

const RETAINED = scriptOf(
  'retained',
  jobsLua,
  String.raw`
-- ARGV[4]: how many of the oldest ends to tell
local most = nextArg()
local finished, ends = 0, {}
local counts = call('HGETALL', root .. 'tally')
for n = 1, #counts, 2 do
  if tonumber(sub(counts[n], 1, 1)) >= COMPLETED then finished = finished + tonumber(counts[n + 1]) end
end
local looked = 0
for _, keep in ipairs(call('ZRANGE', root .. 'keeps', 0, MOST - 1)) do
  for _, entry in ipairs(call('LRANGE', root .. 'kept:' .. keep, 0, min(tonumber(most), MOST - looked) - 1)) do
    looked = looked + 1
    local r = load(sub(entry, 1, IDLENGTH))
    if r and r.state and r.ticket == sub(entry, IDLENGTH + 1) then ends[#ends + 1] = r.finishedAt end
  end
  if looked >= MOST then break end
end
return { finished, ends }
`,
)

/** How many finished jobs a partition has, and when the oldest of them ended. */
export async function retained(
  partition: Partition,
  most: number,
): Promise<{ readonly finished: number; readonly oldest: readonly number[] }> {
  const reply = await partition.run(RETAINED, [String(most)])
  const [finished, oldest] = reply as [number, number[]]
  return { finished, oldest }
}

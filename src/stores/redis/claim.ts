/** Handing out jobs that are ready. */
import type { Claimed, ClaimRequest, NextDue } from '../../store/worker-calls.ts'
import { readClaim, type ClaimReply } from './claim-reply.ts'
import { onceLua, rememberedMs } from './claims-by-id.ts'
import { escape, nullable, whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { leasingLua } from './lines.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { pairOf } from './script.ts'

/**
 * The pattern of records that quick scripts may settle: plain ones that others may wait for, of which
 * all could be read. Scripts write marks only where they are letters.
 */
const isReadable = String.raw`'^[PW][^\t\n]*\t[^\t\n]*\t[^\t\n]*\t?[^\t\n]*\t?[^\t\n]*\t?[aplrnkw]*[\t\n]'`

const CLAIM = pairOf(
  'claim',
  String.raw`
-- ARGV[4...9]: worker, lease in ms, most jobs in all, most from each queue that is not named,
-- highest losses of a suspect or '', id of the claim or ''
-- ARGV[10...]: queues, each with its limit
local remembered = ARGV[9] ~= '' and root .. 'once:' .. ARGV[9]
local rememberedMs = tonumber(ARGV[5]) + ${rememberedMs}
if remembered and call('EXISTS', remembered) == 1 then return false end
local limit, others = min(MOST, tonumber(ARGV[6])), tonumber(ARGV[7])
local least = tonumber(call('HGET', root .. 'meta', 'token'))
if not least then return false end
local first, nextDue = call('ZRANGE', root .. 'scheduled', 0, 0, 'WITHSCORES'), -1
if first[1] then
  nextDue = tonumber(first[2]) - now
  if nextDue <= 0 then return false end
end
local skips, queues, limits = {}, {}, {}
for _, queue in ipairs(call('SMEMBERS', root .. 'paused')) do skips[queue] = true end
for n = 10, #ARGV, 2 do
  if not skips[ARGV[n]] then queues[#queues + 1], limits[#limits + 1] = ARGV[n], tonumber(ARGV[n + 1]) end
end
local named = #queues
if others > 0 then
  for n = 10, #ARGV, 2 do skips[ARGV[n]] = true end
  for _, queue in ipairs(call('ZRANGE', root .. 'busy', 0, MOST - 1)) do
    if not skips[queue] then queues[#queues + 1], limits[#limits + 1] = queue, others end
  end
end
local ids, taken, byte, last, odd = {}, {}, string.byte, 0, nil
for q, queue in ipairs(queues) do
  local most = min(limits[q], limit - #ids)
  if most > 0 and (q > named or call('ZSCORE', root .. 'busy', queue)) then
    if call('EXISTS', root .. 'early:' .. queue, root .. 'lost:' .. queue, root .. 'ghosts:' .. queue) > 0 then return false end
    local entries = call('LRANGE', root .. 'line:' .. queue, 0, most - 1)
    if #entries == 0 then return false end
    for n = 1, #entries do
      local entry = entries[n]
      last = last + 1
      ids[last] = sub(entry, 1, IDLENGTH)
      if byte(entry, IDLENGTH + 1) == 120 then
        -- Of these, the full script does those with a key or bounds, and those whose size counts.
        local start = call('GETRANGE', root .. 'j:' .. ids[last], 0, SMALL)
        if (byte(start) ~= 80 and byte(start) ~= 87) or #start > SMALL then return false end
        odd = odd or {}
        odd[last] = find(start, ${isReadable}) and queue or ''
      end
    end
    taken[q] = #entries
  end
end
local untilAt = format('%.0f', now + tonumber(ARGV[5]))
if #ids == 0 then
  if remembered then call('SET', remembered, '0\t' .. untilAt .. '\t', 'PX', rememberedMs) end
  return { 0, now, nextDue, '0', '', '', {} }
end
for q, count in pairs(taken) do call('LTRIM', root .. 'line:' .. queues[q], count, -1) end
least = max(least + 1, micros)
local token = format('%.0f', least + (tonumber(ARGV[3]) - least) % tonumber(ARGV[2]))
call('HSET', root .. 'meta', 'token', token)
-- A lease that stands alone ends by itself, those of several jobs with their claim.
local shared = #ids > 1
local leases = {}
local n = 0
for q, queue in ipairs(queues) do
  local lease = taken[q] and concat({ token, untilAt, '', shared and 'qs' or 'q', ARGV[4], '', queue }, '\t')
  for _ = 1, taken[q] or 0 do
    n = n + 1
    leases[2 * n - 1], leases[2 * n] = ids[n], lease
  end
end
if odd then
  for n, queue in pairs(odd) do
    local flags = (queue == '' and '' or 'g') .. (shared and 's' or '')
    leases[2 * n] = concat({ token, untilAt, '', flags, ARGV[4], '', queue }, '\t')
  end
end
call('HSET', root .. 'running', unpack(leases))
local packed = concat(ids)
if shared then
  call('SET', root .. 'claim:' .. token, packed)
  call('HSET', root .. 'claimed', token, #ids)
  call('ZADD', root .. 'claims', untilAt, token)
else call('ZADD', root .. 'leases', untilAt, ids[1]) end
if remembered then
  call('SET', remembered, concat({ token, untilAt, packed }, '\t'), 'PX', rememberedMs)
end
for q, count in pairs(taken) do
  local queue = queues[q]
  if call('HINCRBY', root .. 'tally', '2:' .. queue, -count) <= 0 then
    call('HDEL', root .. 'tally', '2:' .. queue)
    call('ZREM', root .. 'busy', queue)
    call('UNLINK', root .. 'line:' .. queue)
  end
  call('HINCRBY', root .. 'tally', '3:' .. queue, count)
end
local keys, prefix = {}, root .. 'j:'
for n = 1, #ids do keys[n] = prefix .. ids[n] end
local records = call('MGET', unpack(keys))
return { 0, now, nextDue, token, '', packed, records }
`,
  [...jobsLua, leasingLua, onceLua],
  String.raw`
worker, leaseMs = nextArg(), tonumber(nextArg())
local limit, others = min(MOST, tonumber(nextArg())), tonumber(nextArg())
local losses, once = tonumber(nextArg()), nextArg()
local nextDue = promote()
if once ~= '' then
  local again = claimedBefore(once)
  if again then
    local hinted = close()
    return { hinted, now, nextDue or -1, again.token, '', again.ids, again.records, 0, again.leases, again.needed }
  end
end
local ids, records = {}, {}
local looked, size, cut = 0, 0, false

-- How many of these entries, from the first, go before the call has enough for their size: those
-- whose size counts have an 'x'.
local function fitting(entries)
  local sum = size
  for n = 1, #entries do
    if sum >= HANDED then return n - 1 end
    if sub(entries[n], IDLENGTH + 1, IDLENGTH + 1) == 'x' then sum = sum + call('STRLEN', keyOf(sub(entries[n], 1, IDLENGTH))) end
  end
  return #entries
end

-- Entries of the head of a line that are still their jobs' own, up to a number; drops the others
-- from its head.
local function takeLine(queue, most)
  local line = root .. 'line:' .. queue
  while most > 0 and looked < 2 * MOST do
    local entries = call('LRANGE', line, 0, most - 1)
    if #entries == 0 then return end
    local fits = fitting(entries)
    cut = fits < #entries
    if fits == 0 then return end
    entries = call('LPOP', line, fits)
    looked = looked + #entries
    local keys = {}
    for n = 1, #entries do keys[n] = keyOf(sub(entries[n], 1, IDLENGTH)) end
    local found = call('MGET', unpack(keys))
    for n = 1, #entries do
      local entry, record = entries[n], found[n]
      local ticket = sub(entry, IDLENGTH + 1) .. '\t'
      if record and sub(record, 2, #ticket + 1) == ticket then
        ids[#ids + 1], records[#records + 1] = sub(entry, 1, IDLENGTH), record
        size = size + #record
        most = most - 1
      else call('SREM', root .. 'ghosts:' .. queue, entry) end
    end
  end
end

-- The head of a line without taking it: for each entry its place, how much of the line goes with
-- it, and what of that jobs left behind. Drops what jobs left behind when there is nothing else.
-- What stays in the line stays noted among the ghosts: the quick script counts on it.
local function headOf(queue, most)
  local line, ghosts = root .. 'line:' .. queue, root .. 'ghosts:' .. queue
  while looked < 2 * MOST do
    local entries = call('LRANGE', line, 0, most - 1)
    if #entries == 0 then return {} end
    local fits = max(1, fitting(entries))
    for n = #entries, fits + 1, -1 do entries[n] = nil end
    looked = looked + #entries
    local keys = {}
    for n = 1, #entries do keys[n] = keyOf(sub(entries[n], 1, IDLENGTH)) end
    local found = call('MGET', unpack(keys))
    local head, left = {}, {}
    for n = 1, #entries do
      local ticket = sub(entries[n], IDLENGTH + 1) .. '\t'
      if found[n] and sub(found[n], 2, #ticket + 1) == ticket then
        local r = parse(sub(entries[n], 1, IDLENGTH), found[n])
        head[#head + 1] = { id = r.id, record = found[n], place = placed(r.place, r.seq), upTo = n, left = left }
        left = {}
      else left[#left + 1] = entries[n] end
    end
    if #head > 0 then return head end
    call('LTRIM', line, #entries, -1)
    call('SREM', ghosts, unpack(left))
  end
  return {}
end

-- Takes the first jobs of the line and of those that stand apart from it, in their common order.
local function takeMerged(queue, most)
  local line, apart, ghosts = root .. 'line:' .. queue, root .. 'early:' .. queue, root .. 'ghosts:' .. queue
  local early = call('ZRANGE', apart, 0, most - 1, 'WITHSCORES')
  local head = headOf(queue, most)
  local e, h, popped = 1, 1, 0
  local taken = {}
  while most > 0 do
    if size >= HANDED then
      cut = true
      break
    end
    if h > #head and popped > 0 then
      -- Jobs had left some of what was read: there may be more behind it.
      call('LTRIM', line, popped, -1)
      head, h, popped = headOf(queue, most), 1, 0
    end
    local member, one = early[e], head[h]
    if not member and not one then break end
    local score = member and tonumber(early[e + 1])
    if one and (not member or score > 0 or (score == 0 and one.place < sub(member, 1, 28))) then
      ids[#ids + 1], records[#records + 1] = one.id, one.record
      size = size + #one.record
      popped = one.upTo
      if #one.left > 0 then call('SREM', ghosts, unpack(one.left)) end
      h = h + 1
      most = most - 1
    else
      taken[#taken + 1] = member
      local id = sub(member, 29)
      local record = call('GET', keyOf(id))
      if record then
        ids[#ids + 1], records[#records + 1] = id, record
        size = size + #record
        most = most - 1
      end
      e = e + 2
    end
  end
  if popped > 0 then call('LTRIM', line, popped, -1) end
  if #taken > 0 then call('ZREM', apart, unpack(taken)) end
end

-- The first suspect that the caller may start, if no ordinary job stands before it.
local function suspectBeforeOthers(queue)
  local lane = root .. 'lost:' .. queue
  local suspects = call('ZRANGE', lane, 0, MOST - 1, 'WITHSCORES')
  for n = 1, #suspects, 2 do
    local member, score = suspects[n], tonumber(suspects[n + 1])
    if tonumber(sub(member, 29 + IDLENGTH)) <= losses then
      local place = sub(member, 1, 28)
      local early = call('ZRANGE', root .. 'early:' .. queue, 0, 0, 'WITHSCORES')
      if early[1] then
        local first = tonumber(early[2])
        if first < score or (first == score and sub(early[1], 1, 28) < place) then return nil end
      end
      local head = headOf(queue, 10)[1]
      if head and (0 < score or (0 == score and head.place < place)) then return nil end
      return sub(member, 29, 28 + IDLENGTH)
    end
  end
  return nil
end

local started = ''
local function claimQueue(queue, most)
  if #ids == 0 and losses and call('EXISTS', root .. 'lost:' .. queue) == 1 then
    local id = suspectBeforeOthers(queue)
    if id then
      local r = load(id)
      leaseWaiting(r, READY, '', text(now))
      ids[1], records[1], started = id, recordOf(r), text(now)
      return true
    end
  end
  local before = #ids
  if call('EXISTS', root .. 'early:' .. queue) == 1 then takeMerged(queue, most) else takeLine(queue, most) end
  local taken = #ids - before
  if taken == 0 then return cut end
  local untilAt = now + leaseMs
  local lease = concat({ newToken(), text(untilAt), '', '', worker, '', '' }, '\t')
  local quick = concat({ newToken(), text(untilAt), '', 'g', worker, '', queue }, '\t')
  local leases, scores = {}, {}
  for n = before + 1, #ids do
    leases[#leases + 1], scores[#scores + 1] = ids[n], untilAt
    leases[#leases + 1], scores[#scores + 1] = find(records[n], ${isReadable}) and quick or lease, ids[n]
    if sub(records[n], 1, 1) == 'X' then
      local r = parse(ids[n], records[n])
      unbind(r)
      rekey(r, RUNNING)
    end
  end
  call('HSET', root .. 'running', unpack(leases))
  call('ZADD', root .. 'leases', unpack(scores))
  local counts = tally[queue] or {}
  tally[queue] = counts
  counts[READY] = (counts[READY] or 0) - taken
  counts[RUNNING] = (counts[RUNNING] or 0) + taken
  return cut
end

local paused = {}
for _, queue in ipairs(call('SMEMBERS', root .. 'paused')) do paused[queue] = true end
local named, order, limits = {}, {}, {}
while at < #ARGV do
  local queue = nextArg()
  named[queue] = true
  order[#order + 1], limits[#limits + 1] = queue, tonumber(nextArg())
end
local done = limit <= 0
-- What promote lined up is not in 'busy' yet.
for n = 1, #order do
  if done or #ids >= limit then break end
  local queue = order[n]
  local most = min(limits[n], limit - #ids)
  if most > 0 and not paused[queue] and (tally[queue] or call('ZSCORE', root .. 'busy', queue)) then
    done = claimQueue(queue, most)
  end
end
if others > 0 and not done and #ids < limit then
  local names, listed = {}, {}
  for _, queue in ipairs(call('ZRANGE', root .. 'busy', 0, MOST - 1)) do names[#names + 1], listed[queue] = queue, true end
  for queue in pairs(tally) do
    if not listed[queue] then names[#names + 1] = queue end
  end
  sort(names)
  for _, queue in ipairs(names) do
    if done or #ids >= limit then break end
    if not named[queue] and not paused[queue] then done = claimQueue(queue, min(others, limit - #ids)) end
  end
end
if once ~= '' then remember(once, token or '0', ids) end
local hinted = close()
local needed = neededFor(ids, records)
return { hinted, now, nextDue or -1, token or '0', started, concat(ids), records, cut and 1 or 0, false, needed }
`,
)

/** The arguments of a claim. */
function argumentsOf(request: ClaimRequest): string[] {
  const args = [
    nullable(request.worker),
    whole(request.leaseMs),
    String(request.limit),
    String(request.others),
    whole(request.maxLosses),
    request.id ?? '',
  ]
  for (const { name, limit } of request.queues) args.push(escape(name), String(limit))
  return args
}

/**
 * Leases ready jobs of a partition in order. A suspect is leased alone: it comes only as the first
 * job of a call, and then it is the only one; otherwise ordinary jobs go on as if suspects were not
 * there.
 */
export async function claim(
  partition: Partition,
  request: ClaimRequest,
): Promise<Answered<Claimed & NextDue>> {
  const args = argumentsOf(request)
  return readClaim((await partition.runPair(CLAIM, args, () => args)) as ClaimReply)
}

/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptAttempts } from '../../core/job.ts'
import type { SettleAnswer } from '../../store/worker-calls.ts'
import { jobsLua } from './fragments.ts'
import { intakeLua } from './intake.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { quickCheckLua, quickReleaseLua, quickWaitersLua, quickWaitsLua } from './quick-release.ts'
import { pairOf } from './script.ts'
import {
  argumentsOf,
  isPlainEnd,
  plainArguments,
  type PackedSettlement,
} from './settlement-encoding.ts'

const SETTLE = pairOf(
  'settle',
  String.raw`
-- Settles jobs that have neither keys nor bounds, and returns the places of the others in the call:
-- of those for which somebody waits, the ones whose ends mean more than quickWaitsLua says.
-- ARGV[4...6]: how many settlements, their ids one after the other, and for each a line of fields
-- and a line with its output
-- Fields: 'f', token, 'y' when it yields to a cancel, ms since the start, 'y' with an output, and
-- fields of an ending: state, ms to keep, reason, counters, token. A line of digits alone, or of
-- nothing, are ms since the start: the rest is as for the one before.
-- ARGV[7]: for each follow-up the place of its settlement, after commas. All of them are plain.
-- ARGV[8...10], with any: their ids one after the other, a line with the second text of each, empty
-- where it is that of the one before, and two lines with the third
local count, lines = tonumber(ARGV[4]), ARGV[6]
if count == 0 then return { 0 } end
local ids, keys, byte = {}, {}, string.byte
for n = 1, count do
  local id = sub(ARGV[5], (n - 1) * IDLENGTH + 1, n * IDLENGTH)
  ids[n], keys[n] = id, root .. 'j:' .. id
end
-- A job that others wait for has another letter before its record.
local mayWait = call('EXISTS', root .. 'needed') == 1
local running = call('HMGET', root .. 'running', unpack(ids))
local records = call('MGET', unpack(keys))
local leases, seen, counted, kept, odd, rest, isLeft = {}, {}, {}, {}, {}, {}, {}
local together, alone = {}, {}
-- Numbers of whole value become texts by %d: other ways of Lua go through its slow printing of
-- fractions.
local begins = {}
${quickWaitersLua}
local writes, deletions, gone = {}, {}, {}
local w = 0
local ticket = tonumber(call('HGET', root .. 'meta', 'ticket'))
if not ticket then return false end
local time = '\t' .. format('%.0f', now) .. '\t'
local token, agoMs, output, ending, state, keep
local from = 1
for n = 1, count do
  local id, held, record = ids[n], running[n], records[n]
  local stop = find(lines, '\n', from, true)
  local last = find(lines, '\n', stop + 1, true)
  local result = sub(lines, stop + 1, last - 1)
  agoMs = sub(lines, from, stop - 1)
  from = last + 1
  if byte(agoMs, 1) == 102 then
    token, agoMs, output, ending, state, keep = match(agoMs, '^f\t(%d+)\ty?\t(%d*)\t(y?)\t((%d)\t(%d*)\t.*)$')
    ending = ending .. '\t'
  end
  if seen[id] then return false end
  seen[id] = true
  local lease = leases[held]
  if not lease and held then
    local owner, startedAt, flags, worker, queue = match(held, '^([^\t]*)\t[^\t]*\t([^\t]*)\t([^\t]*)\t([^\t]*)\t[^\t]*\t(.*)$')
    if flags == 'q' or flags == 'qs' or flags == 'g' or flags == 'gs' then
      local counts = counted[queue] or { ['3'] = 0 }
      counted[queue] = counts
      lease = { token = owner, isAlone = #flags == 1, isOdd = byte(flags) == 103, startedAt = startedAt, worker = '\t' .. worker .. '\t', counts = counts }
      leases[held] = lease
    end
  end
  local isOurs = lease and record and lease.token == token and not (lease.isOdd and keep == '0')
  local seq
  if isOurs and (keep == '0' or state ~= '4') then
    local first, second = match(record, '^%u([^\t]*)\t([^\t]*)\t')
    seq = second == '' and first or second
    -- It may be no record at all.
    isOurs = tonumber(seq or '') ~= nil
  end
  local kind, waits = isOurs and mayWait and byte(record) or 80, nil
${quickWaitsLua}
  if not isOurs or (kind ~= 80 and not waits) then
    rest[#rest + 1], isLeft[n] = n, true
  else
    if lease.isAlone then alone[#alone + 1] = id else together[token] = (together[token] or 0) + 1 end
    local counts = lease.counts
    counts['3'] = counts['3'] - 1
    if keep == '0' then
      deletions[#deletions + 1] = keys[n]
      local chunk = floor(tonumber(seq) / CHUNK)
      gone[chunk] = (gone[chunk] or 0) + 1
    else
      counts[state] = (counts[state] or 0) + 1
      local startedAt = lease.startedAt
      if startedAt == '' and agoMs ~= '' then
        startedAt = begins[agoMs]
        if not startedAt then
          startedAt = format('%d', now - agoMs)
          begins[agoMs] = startedAt
        end
      end
      local list = kept[keep]
      if not list then
        list = { n = 0 }
        kept[keep] = list
      end
      ticket = ticket + 1
      local place = format('t%d', ticket)
      list.n = list.n + 1
      list[list.n] = id .. place
      w = w + 2
      writes[w - 1] = keys[n]
      writes[w] = 'F' .. place .. time .. startedAt .. lease.worker .. ending .. (output == 'y' and format('%d\n', #result) or '\n') .. record .. result
      if state ~= '4' then
        odd[#odd + 1] = seq
        odd[#odd + 1] = id
      end
    end
  end
end
${quickCheckLua}
local done = ids
if rest[1] then
  if 2 * #rest > count then return false end
  done = {}
  for n = 1, count do
    if not isLeft[n] then done[#done + 1] = ids[n] end
  end
end
local followed, news, bodies, byQueue, queues = {}, {}, {}, {}, {}
local queueOf, groupOf = {}, {}
if ARGV[7] ~= '' then
  local n, met, queue, group = 0, {}, nil, nil
  local nextLine, nextBody = gmatch(ARGV[9], '([^\n]*)\n'), gmatch(ARGV[10], '([^\n]*\n[^\n]*)\n')
  for place in gmatch(ARGV[7], '%d+') do
    local id, line, body = sub(ARGV[8], n * IDLENGTH + 1, (n + 1) * IDLENGTH), nextLine(), nextBody()
    n = n + 1
    if line ~= '' then queue, group = match(line, '^([^\t]*)\t?(.*)$') end
    if not (rest[1] and isLeft[tonumber(place)]) then
      if met[id] or #body > SMALL then return false end
      met[id] = true
      local k = #followed + 1
      followed[k], news[k], bodies[k], queueOf[k] = id, root .. 'j:' .. id, body, queue
      if group ~= '' then groupOf[k] = group end
      if not byQueue[queue] then byQueue[queue], queues[#queues + 1] = {}, queue end
    end
  end
  -- Those that are known already are repeats.
  if #news > 0 and call('EXISTS', unpack(news)) > 0 then return false end
end
call('HDEL', root .. 'running', unpack(done))
if #alone > 0 then call('ZREM', root .. 'leases', unpack(alone)) end
for claim, number in pairs(together) do
  if call('HINCRBY', root .. 'claimed', claim, -number) <= 0 then
    call('UNLINK', root .. 'claim:' .. claim)
    call('HDEL', root .. 'claimed', claim)
    call('ZREM', root .. 'claims', claim)
  end
end
if w > 0 then
  call('HSET', root .. 'meta', 'ticket', ticket)
  call('MSET', unpack(writes))
  for keep, list in pairs(kept) do
    if call('RPUSH', root .. 'kept:' .. keep, unpack(list)) == #list then
      call('ZADD', root .. 'keeps', keep == '' and '+inf' or now + tonumber(keep), keep)
    end
  end
end
if #deletions > 0 then call('DEL', unpack(deletions)) end
if #odd > 0 then call('ZADD', root .. 'others', unpack(odd)) end
${quickReleaseLua}
for queue, counts in pairs(counted) do
  for state, change in pairs(counts) do
    local field = state .. ':' .. queue
    if call('HINCRBY', root .. 'tally', field, change) == 0 then call('HDEL', root .. 'tally', field) end
  end
end
for chunk, number in pairs(gone) do
  local field = format('%.0f', chunk)
  if call('HINCRBY', root .. 'gone', field, number) >= CHUNK then
    call('HDEL', root .. 'gone', field)
    call('ZREM', root .. 'chunks', field)
    call('UNLINK', root .. 'log:' .. field)
  end
end
if #followed == 0 then return { #freed > 0 and 3 or 2, rest[1] and rest } end
local seq = call('HINCRBY', root .. 'meta', 'seq', #followed) - #followed + 1
local fresh, middle = {}, format('%.0f', now) .. '\n'
local plain = '\t\t' .. middle
for k, id in ipairs(followed) do
  local ticket = format('%d', seq + k - 1)
  if groupOf[k] then
    call('ZADD', root .. 'g:' .. sub(groupOf[k], 2), seq + k - 1, id)
    fresh[2 * k] = 'Px' .. ticket .. '\t' .. ticket .. '\t' .. middle .. bodies[k]
    ticket = 'x' .. ticket
  else fresh[2 * k] = 'P' .. ticket .. plain .. bodies[k] end
  fresh[2 * k - 1] = news[k]
  local entries = byQueue[queueOf[k]]
  entries[#entries + 1] = id .. ticket
end
call('MSET', unpack(fresh))
local n = 1
while n <= #followed do
  local chunk = floor((seq + n - 1) / CHUNK)
  local last, field = min(#followed, (chunk + 1) * CHUNK - seq), format('%.0f', chunk)
  if call('RPUSH', root .. 'log:' .. field, unpack(followed, n, last)) == last - n + 1 then call('ZADD', root .. 'chunks', chunk, field) end
  n = last + 1
end
for _, queue in ipairs(queues) do
  local entries = byQueue[queue]
  call('RPUSH', root .. 'line:' .. queue, unpack(entries))
  if call('HINCRBY', root .. 'tally', '2:' .. queue, #entries) == #entries then call('ZADD', root .. 'busy', 0, queue) end
end
return { 3, rest[1] and rest }
`,
  [...jobsLua, intakeLua],
  String.raw`
-- ARGV[4]: how many settlements; for each its id, a line of fields, its output or '', then its
-- attempt if the line says so, then three texts for each follow-up.
-- Fields: 'f' for a finish, 'r' for a return; token; 'y' when it yields to a cancel; then
--   of a finish: ms since the start, 'y' with an output, fields of an ending as above, length of
--   the output of a return: counters, delay in ms, 'd' to line up by due time, 'y' if it was
--   started, 'y' if suspect of both: 'a' with an attempt, number of follow-ups
local count = tonumber(nextArg())
local settlements, ids = {}, {}
for n = 1, count do
  local s, f, more = { id = nextArg() }, fieldsOf(nextArg()), nil
  s.output = nextArg()
  s.kind, s.token, s.yields = f[1], f[2], f[3]
  if s.kind == 'r' then
    s.counters, s.delay, s.place, s.started, s.suspect = f[4], tonumber(f[5]), f[6], f[7], f[8]
    more = 9
  else
    s.agoMs, s.state, s.keep, s.reason, s.counters = f[4], tonumber(f[6]), f[7], f[8], f[9]
    s.outputLength = f[11]
    more = 12
  end
  if f[more] == 'a' then s.attempt = nextArg() end
  s.jobs = nextJobs(tonumber(f[more + 1] or '0'))
  settlements[n], ids[n] = s, s.id
end

local function appendAttempt(r, attempt)
  if not attempt then return end
  local list = root .. 'a:' .. r.id
  call('RPUSH', list, attempt)
  call('LTRIM', list, -${keptAttempts}, -1)
  mark(r, 'a')
end

local function finishOne(r, s, lease)
  if has(r, 'n') then dropNeeds(r.id) end
  local startedAt = lease.startedAt
  if startedAt == '' and s.agoMs ~= '' then startedAt = text(now - tonumber(s.agoMs)) end
  finish(r, RUNNING, {
    state = s.state, keep = s.keep, reason = s.reason == '' and s.state == CANCELLED and lease.reason or s.reason, settled = s.token,
    worker = lease.worker, startedAt = startedAt, counters = s.counters, outputLength = s.outputLength, output = s.output,
  })
  insertAll(s.jobs)
  releaseAndErase(r, true)
end

local function putBack(r, s, lease)
  r.due = now + s.delay
  if s.place == 'd' then r.place = r.due - r.headStart end
  if s.started == 'y' then r.startBy = nil end
  if s.suspect == 'y' then mark(r, 's') end
  r.counters, r.settled, r.worker = s.counters, s.token, lease.worker
  local needs = has(r, 'n') and weigh(r) or 'met'
  local state = needs ~= 'met' and BLOCKED or s.delay > 0 and SCHEDULED or READY
  if state ~= BLOCKED then unmark(r, 'n') end
  lineUp(r, state)
  save(r)
  bind(r)
  moved(r.queue, RUNNING, state)
  rekey(r, state)
  insertAll(s.jobs)
  if needs ~= 'met' and needs ~= 'open' then
    endForNeed(r, needs)
    releaseAndErase(r, true)
  end
end

local function settleOne(s)
  local lease, r = leaseOf(s.id), load(s.id)
  if lease and r and lease.token == s.token then
    if s.yields == 'y' and find(lease.flags, 'c', 1, true) then return 'c' end
    dropLease(s.id, lease)
    appendAttempt(r, s.attempt)
    if s.kind == 'r' then putBack(r, s, lease) else finishOne(r, s, lease) end
    return 's'
  end
  -- Tokens start at 1, so that a job that was never settled matches none.
  return r and r.settled == s.token and 's' or 'x'
end

local answers, settled, all = {}, {}, true
for n, s in ipairs(settlements) do
  local lease = s.id .. ' ' .. s.token
  local answer = settled[lease] and 's' or settleOne(s)
  if answer == 's' then settled[lease] = true else all = false end
  answers[n] = answer
end
local hinted = close()
if all then return { hinted } end
return { hinted, concat(answers) }
`,
)

/**
 * What a script returned: what happened, then nothing where all were settled, a letter for each, or
 * the places that are still to do.
 */
type SettleReply = readonly [hinted: number, letters?: string | readonly number[] | null]

/** Settles jobs of a partition: those that the quick script takes apart from the others. */
export async function settle(
  partition: Partition,
  settlements: readonly PackedSettlement[],
): Promise<Answered<SettleAnswer[]>> {
  const places = plainPlaces(settlements)
  if (places === null) return settleAlike(partition, settlements)
  const plain = settlements.filter((_, place) => places.has(place))
  const others = settlements.filter((_, place) => !places.has(place))
  const [first, then] = await Promise.all([
    settleAlike(partition, plain),
    settleAlike(partition, others),
  ])
  const [ofPlain, ofOthers] = [first.answer.values(), then.answer.values()]
  const answer = settlements.map(
    (_, place): SettleAnswer => (places.has(place) ? ofPlain : ofOthers).next().value ?? 'stale',
  )
  return { hinted: first.hinted | then.hinted, answer }
}

/**
 * The places of those that the quick script takes, if they may go before the others: no job is settled twice,
 * and no follow-up speaks of other jobs. Null where all go together.
 */
function plainPlaces(settlements: readonly PackedSettlement[]): ReadonlySet<number> | null {
  const places = new Set<number>()
  for (const [place, one] of settlements.entries()) if (isPlainEnd(one)) places.add(place)
  if (places.size === settlements.length || places.size < leastApart) return null
  const speaks = settlements.some(({ followUps }) =>
    followUps.some(({ job }) => job.needs.length > 0 || job.holds !== undefined),
  )
  const ids = new Set(settlements.map(({ settlement }) => settlement.id))
  return speaks || ids.size < settlements.length ? null : places
}

/** Fewer are not worth a call of their own. */
const leastApart = 8

async function settleAlike(
  partition: Partition,
  settlements: readonly PackedSettlement[],
): Promise<Answered<SettleAnswer[]>> {
  const all = (): string[] => argumentsOf(settlements)
  const reply = await partition.runPair(SETTLE, plainArguments(settlements), all)
  const [hinted, letters] = reply as SettleReply
  if (typeof letters === 'string')
    return { hinted, answer: Array.from(letters, (letter) => readAnswer(letter)) }
  const answer: SettleAnswer[] = settlements.map(() => 'settled')
  if (!letters) return { hinted, answer }
  const rest = settlements.filter((_, n) => letters.includes(n + 1))
  const [more, others] = (await partition.run(SETTLE.full, argumentsOf(rest))) as SettleReply
  for (const [n, place] of letters.entries())
    answer[place - 1] = readAnswer(typeof others === 'string' ? others[n] : undefined)
  return { hinted: hinted | more, answer }
}

function readAnswer(letter: string | undefined): SettleAnswer {
  if (letter === 'x') return 'stale'
  return letter === 'c' ? 'cancel-asked' : 'settled'
}

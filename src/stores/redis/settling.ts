/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptErrors } from '../../core/job.ts'
import type { Again, Finish, SettleAnswer, Settlement } from '../../store.ts'
import { nullable, packCounters, whole } from './fields.ts'
import { jobsLua } from './fragments.ts'
import { packId } from './ids.ts'
import { intakeLua } from './intake.ts'
import type { Packed } from './pack.ts'
import type { Answered, Partition } from './partition.ts'
import { pairOf, relentlessLua } from './script.ts'
import { codeOf } from './states.ts'

const SETTLE = pairOf(
  'settle',
  String.raw`
-- ARGV[4]: how many settlements; for each its id, a line of fields, its output or '', then its error if the line says so,
-- then three texts for each follow-up.
-- Fields: 'f' for a finish, 'e' for one with an error, with follow-ups, or whose output is not as long in bytes as for the client,
-- 'a' for a return; token; 'y' when it yields to a cancel; then
--   of a finish: ms since the start, 'y' with an output, and fields of an ending: state, ms to keep, reason, counters, token
--   of a return: counters, delay in ms, 'd' to line up by due time, 'y' if it was started, 'y' if suspect
--   of 'e': length of the output; of 'e' and 'a': 'e' with an error, number of follow-ups
-- A line of digits alone, or of nothing, are ms since the start: the rest is as for the finish before.
local count = tonumber(ARGV[4])
if count == 0 then return { 0 } end
local ids, keys, byte = {}, {}, string.byte
for n = 1, count do
  local id, line = ARGV[2 + 3 * n], ARGV[3 + 3 * n]
  local kind = byte(line, 1)
  if kind == 97 or kind == 101 then return false end
  ids[n], keys[n] = id, root .. 'j:' .. id
end
if call('EXISTS', root .. 'needed') == 1 then return false end
local running = call('HMGET', root .. 'running', unpack(ids))
local records = call('MGET', unpack(keys))
local leases, seen, counted, kept, odd = {}, {}, {}, {}, {}
local writes, deletions, gone = {}, {}, {}
local w = 0
local ticket = tonumber(call('HGET', root .. 'meta', 'ticket')) or 0
local time = '\t' .. format('%.0f', now) .. '\t'
local token, agoMs, output, ending, state, keep
for n = 1, count do
  local id, held, record = ids[n], running[n], records[n]
  agoMs = ARGV[3 + 3 * n]
  if byte(agoMs, 1) == 102 then
    token, agoMs, output, ending, state, keep = match(agoMs, '^f\t(%d+)\ty?\t(%d*)\t(y?)\t((%d)\t(%d*)\t.*)$')
    ending = ending .. '\t'
  end
  if not held or not record or seen[id] then return false end
  seen[id] = true
  local lease = leases[held]
  if not lease then
    local owner, startedAt, flags, worker, queue = match(held, '^([^\t]*)\t[^\t]*\t([^\t]*)\t([^\t]*)\t([^\t]*)\t[^\t]*\t(.*)$')
    if flags ~= 'q' then return false end
    local counts = counted[queue] or { ['3'] = 0 }
    counted[queue] = counts
    lease = { token = owner, startedAt = startedAt, worker = '\t' .. worker .. '\t', counts = counts }
    leases[held] = lease
  end
  if lease.token ~= token then return false end
  local counts = lease.counts
  counts['3'] = counts['3'] - 1
  local seq
  if keep == '0' or state ~= '4' then
    local first, second = match(record, '^P([^\t]*)\t([^\t]*)\t')
    seq = second == '' and first or second
  end
  if keep == '0' then
    deletions[#deletions + 1] = keys[n]
    local chunk = floor(tonumber(seq) / CHUNK)
    gone[chunk] = (gone[chunk] or 0) + 1
  else
    counts[state] = (counts[state] or 0) + 1
    local startedAt = lease.startedAt
    if startedAt == '' and agoMs ~= '' then startedAt = now - agoMs end
    local list = kept[keep]
    if not list then
      list = { n = 0 }
      kept[keep] = list
    end
    ticket = ticket + 1
    list.n = list.n + 1
    list[list.n] = id .. 't' .. ticket
    local text = ARGV[4 + 3 * n]
    w = w + 2
    writes[w - 1] = keys[n]
    writes[w] = 'Ft' .. ticket .. time .. startedAt .. lease.worker .. ending .. (output == 'y' and #text or '') .. '\n' .. record .. text
    if state ~= '4' then
      odd[#odd + 1] = seq
      odd[#odd + 1] = id
    end
  end
end
call('HDEL', root .. 'running', unpack(ids))
call('ZREM', root .. 'leases', unpack(ids))
if w > 0 then
  call('HSET', root .. 'meta', 'ticket', ticket)
  call('MSET', unpack(writes))
  for keep, list in pairs(kept) do
    if call('RPUSH', root .. 'kept:' .. keep, unpack(list)) == #list then call('ZADD', root .. 'keeps', 0, keep) end
  end
end
if #deletions > 0 then call('DEL', unpack(deletions)) end
if #odd > 0 then call('ZADD', root .. 'others', unpack(odd)) end
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
return { 2 }
`,
  [...jobsLua, intakeLua, relentlessLua],
  String.raw`
local count = tonumber(nextArg())
local settlements, ids = {}, {}
local last
for n = 1, count do
  local s = { id = nextArg() }
  local line = nextArg()
  if find(line, '^%d*$') then line = 'f\t' .. last[2] .. '\t' .. last[3] .. '\t' .. line .. '\t' .. concat(last, '\t', 5) end
  local f, more = fieldsOf(line), nil
  s.output = nextArg()
  s.kind, s.token, s.yields = f[1], f[2], f[3]
  if s.kind == 'a' then
    s.counters, s.delay, s.place, s.started, s.suspect = f[4], tonumber(f[5]), f[6], f[7], f[8]
    more = 9
  else
    s.agoMs, s.state, s.keep, s.reason, s.counters = f[4], tonumber(f[6]), f[7], f[8], f[9]
    s.outputLength = f[11] or (f[5] == 'y' and text(#s.output) or '')
    more = 12
    if s.kind == 'f' then last = f end
  end
  if f[more] == 'e' then s.error = nextArg() end
  s.jobs = nextJobs(tonumber(f[more + 1] or '0'))
  settlements[n], ids[n] = s, s.id
end

local function appendError(r, error)
  if not error then return end
  local list = root .. 'e:' .. r.id
  call('RPUSH', list, error)
  call('LTRIM', list, -${keptErrors}, -1)
  mark(r, 'e')
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
  if s.place == 'd' then r.place = r.due end
  if s.started == 'y' then r.startBy = nil end
  if s.suspect == 'y' then mark(r, 's') end
  r.counters, r.settled, r.worker = s.counters, s.token, lease.worker
  local needs = has(r, 'n') and weigh(r.id) or 'met'
  local state = needs ~= 'met' and BLOCKED or s.delay > 0 and SCHEDULED or READY
  if state ~= BLOCKED then unmark(r, 'n') end
  lineUp(r, state)
  save(r)
  bind(r)
  moved(r.queue, RUNNING, state)
  rekey(r, state)
  insertAll(s.jobs)
  if needs == 'cancel' then
    cancelWaiting(r, BLOCKED, '=need-failed')
    releaseAndErase(r, true)
  end
end

local function settleOne(s)
  local lease, r = leaseOf(s.id), load(s.id)
  if lease and r and lease.token == s.token then
    if s.yields == 'y' and find(lease.flags, 'c', 1, true) then return 'c' end
    dropLease(s.id)
    appendError(r, s.error)
    if s.kind == 'a' then putBack(r, s, lease) else finishOne(r, s, lease) end
    return 's'
  end
  -- Tokens start at 1, so that a job that was never settled matches none.
  return r and r.settled == s.token and 's' or 'x'
end

local answers, settled, all = {}, {}, true
for n, s in ipairs(settlements) do
  local answer
  if settled[s.id] then answer = settled[s.id] == s.token and 's' or 'x' else answer = settleOne(s) end
  if answer == 's' then settled[s.id] = settled[s.id] or s.token else all = false end
  answers[n] = answer
end
local hinted = close()
if all then return { hinted } end
return { hinted, concat(answers) }
`,
)

/** A settlement with its follow-ups as they travel. */
export interface PackedSettlement {
  readonly settlement: Settlement
  readonly followUps: readonly Packed[]
}

/** Settles jobs of a partition. */
export async function settle(
  partition: Partition,
  settlements: readonly PackedSettlement[],
): Promise<Answered<SettleAnswer[]>> {
  const args: string[] = [String(settlements.length)]
  let last = ''
  for (const { settlement, followUps } of settlements) {
    const { id, error } = settlement
    args.push(packId(id))
    switch (settlement.kind) {
      case 'finish': {
        const { output, startedAgoMs } = settlement
        const ago = startedAgoMs === null ? '' : whole(Math.max(0, startedAgoMs))
        const ending = endingOf(settlement)
        const lease = `${settlement.token}\t${yields(settlement)}\t${ago}`
        if (error !== null || followUps.length > 0 || !isAsLongInBytes(output)) {
          args.push(
            `e\t${lease}\t${ending}\t${output?.length ?? ''}${bytesOf(output)}\t${moreOf(settlement)}`,
          )
        } else {
          const all = `${yields(settlement)}${ending}`
          args.push(all === last ? ago : `f\t${lease}\t${ending}`)
          last = all
        }
        args.push(output ?? '')
        break
      }
      case 'again':
        args.push(returnOf(settlement), '')
        break
    }
    if (error !== null) args.push(error)
    for (const job of followUps) args.push(job.id, job.spec, job.body)
  }
  const [hinted, letters] = (await partition.runPair(SETTLE, args)) as [number, string?]
  return { hinted, answer: settlements.map((_, n) => readAnswer(letters?.[n])) }
}

/** The fields that settlements of one batch mostly share. */
function endingOf({ token, state, output, reason, keepMs, counters }: Finish): string {
  const keep = keepMs !== null && keepMs <= 0 ? '0' : whole(keepMs)
  return `${output === null ? '' : 'y'}\t${codeOf(state)}\t${keep}\t${nullable(reason)}\t${packCounters(counters)}\t${token}`
}

function returnOf(again: Again): string {
  const { token, delayMs, place, started, suspect } = again
  const counters = packCounters(again.counters)
  return `a\t${token}\t${yields(again)}\t${counters}\t${whole(Math.max(0, delayMs))}\t${place === 'due' ? 'd' : ''}\t${started ? 'y' : ''}\t${suspect ? 'y' : ''}\t${moreOf(again)}`
}

function yields({ yieldsToCancel }: Settlement): string {
  return yieldsToCancel ? 'y' : ''
}

function moreOf({ error, followUps }: Settlement): string {
  return `${error === null ? '' : 'e'}\t${followUps.length}`
}

function isAsLongInBytes(output: string | null): boolean {
  return output === null || Buffer.byteLength(output) === output.length
}

/** What follows the length of an output in UTF-16 units when it is longer in bytes. */
function bytesOf(output: string | null): string {
  return output === null || isAsLongInBytes(output) ? '' : `,${Buffer.byteLength(output)}`
}

function readAnswer(letter: string | undefined): SettleAnswer {
  if (letter === 'x') return 'stale'
  return letter === 'c' ? 'cancel-asked' : 'settled'
}

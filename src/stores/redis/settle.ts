/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptAttempts } from '../../core/job.ts'
import type { Requeue, Finish, SettleAnswer, Settlement } from '../../store/worker-calls.ts'
import { countersField, nullable, whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { isPacked, packId } from './ids.ts'
import { intakeLua } from './intake.ts'
import type { Packed } from './new-job-encoding.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { pairOf } from './script.ts'
import { codeOf } from '../state-codes.ts'

const SETTLE = pairOf(
  'settle',
  String.raw`
-- Settles the jobs that a claim handed out unseen and that nobody waits for, and returns the places
-- of the others in the call.
-- ARGV[4...6]: how many settlements, their ids one after the other, and for each a line of fields
-- and a line with its output
-- Fields: 'f', token, 'y' when it yields to a cancel, ms since the start, 'y' with an output, and
-- fields of an ending: state, ms to keep, reason, counters, token. A line of digits alone, or of
-- nothing, are ms since the start: the rest is as for the one before.
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
    if flags == 'q' or flags == 'qs' then
      local counts = counted[queue] or { ['3'] = 0 }
      counted[queue] = counts
      lease = { token = owner, isAlone = flags == 'q', startedAt = startedAt, worker = '\t' .. worker .. '\t', counts = counts }
      leases[held] = lease
    end
  end
  if not lease or not record or lease.token ~= token or (mayWait and byte(record) ~= 80) then
    rest[#rest + 1], isLeft[n] = n, true
  else
    if lease.isAlone then alone[#alone + 1] = id else together[token] = (together[token] or 0) + 1 end
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
local done = ids
if rest[1] then
  if 2 * #rest > count then return false end
  done = {}
  for n = 1, count do
    if not isLeft[n] then done[#done + 1] = ids[n] end
  end
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
return { 2, rest[1] and rest }
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
  if s.place == 'd' then r.place = r.due end
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

/** A settlement with its follow-ups as they travel. */
export interface PackedSettlement {
  readonly settlement: Settlement
  readonly followUps: readonly Packed[]
}

/**
 * What a script returned: what happened, then nothing where all were settled, a letter for each, or
 * the places that are still to do.
 */
type SettleReply = readonly [hinted: number, letters?: string | readonly number[] | null]

/** Settles jobs of a partition. */
export async function settle(
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

/**
 * The arguments of the quick script, few and long ones, since each costs; null for settlements that
 * it does not take.
 */
function plainArguments(settlements: readonly PackedSettlement[]): string[] | null {
  const ids: string[] = []
  const lines: string[] = []
  let last = ''
  for (const { settlement, followUps } of settlements) {
    if (settlement.kind === 'requeue' || settlement.attempt !== null || followUps.length > 0)
      return null
    const { id, output } = settlement
    const packed = packId(id)
    if (!isPacked(packed) || !isAsLongInBytes(output) || output?.includes('\n') === true)
      return null
    const ending = endingOf(settlement)
    const shared = `${yields(settlement)}${ending}`
    ids.push(packed)
    lines.push(shared === last ? agoOf(settlement) : finishOf(settlement, ending), output ?? '')
    last = shared
  }
  lines.push('')
  return [String(settlements.length), ids.join(''), lines.join('\n')]
}

/** The arguments of the full script. */
function argumentsOf(settlements: readonly PackedSettlement[]): string[] {
  const args: string[] = [String(settlements.length)]
  for (const { settlement, followUps } of settlements) {
    const { attempt } = settlement
    args.push(packId(settlement.id))
    switch (settlement.kind) {
      case 'finish': {
        const { output } = settlement
        const length = output === null ? '' : `${output.length}${bytesOf(output)}`
        const fields = finishOf(settlement, endingOf(settlement))
        args.push(`${fields}\t${length}\t${moreOf(settlement)}`, output ?? '')
        break
      }
      case 'requeue':
        args.push(returnOf(settlement), '')
        break
    }
    if (attempt !== null) args.push(attempt)
    for (const job of followUps) args.push(job.id, job.spec, job.body)
  }
  return args
}

function finishOf(finish: Finish, ending: string): string {
  return `f\t${finish.token}\t${yields(finish)}\t${agoOf(finish)}\t${ending}`
}

function agoOf({ startedAgoMs }: Finish): string {
  return startedAgoMs === null ? '' : whole(Math.max(0, startedAgoMs))
}

/** The fields that settlements of one batch mostly share. */
function endingOf({ token, state, output, reason, keepMs, counters }: Finish): string {
  const keep = keepMs !== null && keepMs <= 0 ? '0' : whole(keepMs)
  return `${output === null ? '' : 'y'}\t${codeOf(state)}\t${keep}\t${nullable(reason)}\t${countersField(counters)}\t${token}`
}

function returnOf(requeue: Requeue): string {
  const { token, delayMs, place, started, suspect } = requeue
  const counters = countersField(requeue.counters)
  return `r\t${token}\t${yields(requeue)}\t${counters}\t${whole(Math.max(0, delayMs))}\t${place === 'due' ? 'd' : ''}\t${started ? 'y' : ''}\t${suspect ? 'y' : ''}\t${moreOf(requeue)}`
}

function yields({ yieldsToCancel }: Settlement): string {
  return yieldsToCancel ? 'y' : ''
}

function moreOf({ attempt, followUps }: Settlement): string {
  return `${attempt === null ? '' : 'a'}\t${followUps.length}`
}

function isAsLongInBytes(output: string | null): boolean {
  return output === null || Buffer.byteLength(output) === output.length
}

/** What follows the length of an output in UTF-16 units when it is longer in bytes. */
function bytesOf(output: string): string {
  return isAsLongInBytes(output) ? '' : `,${Buffer.byteLength(output)}`
}

function readAnswer(letter: string | undefined): SettleAnswer {
  if (letter === 'x') return 'stale'
  return letter === 'c' ? 'cancel-asked' : 'settled'
}

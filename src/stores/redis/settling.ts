/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptErrors } from '../../core/job.ts'
import type { SettleAnswer, Settlement } from '../../store.ts'
import { packId } from './ids.ts'
import { commonLua, intakeLua, whole, type Packed } from './intake.ts'
import type { Answered, Partition } from './partition.ts'
import { nullable, packCounters } from './rows.ts'
import { scriptOf } from './script.ts'
import { codeOf } from './states.ts'

const SETTLE = scriptOf(
  'settle',
  [...commonLua, intakeLua],
  String.raw`
-- ARGV[4]: how many settlements; for each its id, a line of fields, its output or '', then its error if the line says so,
-- then three texts for each follow-up.
-- Fields: token, 'y' when it yields to a cancel, counters, 'e' with an error, number of follow-ups, then
--   of a finish: 'f', state, reason, ms to keep, ms since the start, length of the output
--   of a return: 'a', delay in ms, 'd' to line up by due time, 'y' if it was started, 'y' if suspect
local count = tonumber(nextArg())
local settlements, ids = {}, {}
for n = 1, count do
  local s = { id = nextArg(), line = nextArg(), output = nextArg() }
  s.token, s.yields, s.counters, s.hasError, s.followUps, s.kind, s.a, s.b, s.c, s.d, s.e =
    match(s.line, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$')
  if s.hasError == 'e' then s.error = nextArg() end
  s.jobs = nextJobs(tonumber(s.followUps))
  settlements[n], ids[n] = s, s.id
end
if count == 0 then return { 0 } end

local running = call('HMGET', root .. 'running', unpack(ids))
local keys = {}
for n = 1, count do keys[n] = keyOf(ids[n]) end
local records = call('MGET', unpack(keys))
local anyNeeded = call('EXISTS', root .. 'needed') == 1
local settled = {}

-- Ordinary endings gather here, to be written at one go. Whatever could see them is preceded by a flush.
local writes, deletions, leases, entries, odd = {}, {}, {}, {}, {}
local function flush()
  if #leases == 0 then return end
  call('HDEL', root .. 'running', unpack(leases))
  call('ZREM', root .. 'leases', unpack(leases))
  if #writes > 0 then call('MSET', unpack(writes)) end
  if #deletions > 0 then call('DEL', unpack(deletions)) end
  for keep, list in pairs(entries) do
    call('RPUSH', root .. 'kept:' .. keep, unpack(list))
    call('ZADD', root .. 'keeps', 0, keep)
  end
  if #odd > 0 then call('ZADD', root .. 'others', unpack(odd)) end
  writes, deletions, leases, entries, odd = {}, {}, {}, {}, {}
end

local ticket = nil
local function ticketAfter()
  if not ticket then ticket = call('HINCRBY', root .. 'meta', 'ticket', count) - count end
  ticket = ticket + 1
  return 't' .. text(ticket)
end

local function appendError(r, error)
  if not error then return end
  local list = root .. 'e:' .. r.id
  call('RPUSH', list, error)
  call('LTRIM', list, -${keptErrors}, -1)
  mark(r, 'e')
end

local function since(startedAt, agoMs)
  if startedAt ~= '' or agoMs == '' then return startedAt end
  return text(now - tonumber(agoMs))
end

-- An ending that changes nothing but its own job.
local function finishPlainly(s, lease, record)
  local a = find(record, '\n', 1, true)
  local b = find(record, '\n', a + 1, true)
  local h = fieldsOf(sub(record, 2, a - 1))
  local state, keep = tonumber(s.a), s.c
  local seq = h[2] == nil and h[1] or h[2] == '' and h[1] or h[2]
  local queue = match(record, '^[^\t]*\t([^\t\n]*)', a + 1)
  leases[#leases + 1] = s.id
  moved(queue, RUNNING, keep ~= '0' and state or nil)
  hint(FINISHED)
  if keep == '0' then
    deletions[#deletions + 1] = keyOf(s.id)
    local chunk = floor(tonumber(seq) / CHUNK)
    gone[chunk] = (gone[chunk] or 0) + 1
    return
  end
  local own = ticketAfter()
  local reason = s.b == '' and state == CANCELLED and lease.reason or s.b
  local head = concat({
    own, seq, h[3], h[4] or '', h[5] or '', h[6] or '', h[7] or '', h[8] or '', h[9] or '', s.counters, s.token, lease.worker,
    s.a, text(now), keep, since(lease.startedAt, s.d), reason, lengthOf(s.e, s.output),
  }, '\t')
  writes[#writes + 1] = keyOf(s.id)
  writes[#writes + 1] = sub(record, 1, 1) .. head .. sub(record, a) .. s.output
  local list = entries[keep]
  if not list then
    list = {}
    entries[keep] = list
  end
  list[#list + 1] = s.id .. own
  if state ~= COMPLETED then
    odd[#odd + 1] = seq
    odd[#odd + 1] = s.id
  end
end

local function finishFully(s, lease)
  local r = load(s.id)
  dropLease(s.id)
  appendError(r, s.error)
  if has(r, 'n') then dropNeeds(s.id) end
  local state = tonumber(s.a)
  finish(r, RUNNING, {
    state = state, keep = s.c, reason = s.b == '' and state == CANCELLED and lease.reason or s.b, settled = s.token,
    worker = lease.worker, startedAt = since(lease.startedAt, s.d), counters = s.counters, outputLength = s.e, output = s.output,
  })
  insertAll(s.jobs)
  releaseAndErase(r, true)
end

local function putBack(s, lease)
  local r = load(s.id)
  dropLease(s.id)
  appendError(r, s.error)
  local delay = tonumber(s.a)
  r.due = now + delay
  if s.b == 'd' then r.place = r.due end
  if s.c == 'y' then r.startBy = nil end
  if s.d == 'y' then mark(r, 's') end
  r.counters, r.settled, r.worker = s.counters, s.token, lease.worker
  local needs = has(r, 'n') and weigh(s.id) or 'met'
  local state = needs ~= 'met' and BLOCKED or delay > 0 and SCHEDULED or READY
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

local function isPlain(s, record)
  return s.kind == 'f' and s.hasError == '' and s.followUps == '0' and sub(record, 1, 1) == 'P'
    and not find(match(record, '^[^\t\n]*\t?[^\t\n]*\t?[^\t\n]*\t?[^\t\n]*\t?[^\t\n]*\t?([^\t\n]*)'), '[npel]')
    and not (anyNeeded and call('SISMEMBER', root .. 'needed', s.id) == 1)
end

local answers = {}
local all = true
for n, s in ipairs(settlements) do
  local held, record = running[n], records[n]
  local answer = 's'
  if settled[s.id] then
    if settled[s.id] ~= s.token then answer = 'x' end
  elseif held and record and sub(held, 1, #s.token + 1) == s.token .. '\t' then
    local token, untilAt, startedAt, flags, worker, reason =
      match(held, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$')
    if s.yields == 'y' and find(flags, 'c', 1, true) then answer = 'c'
    else
      local lease = { startedAt = startedAt, worker = worker, reason = reason }
      settled[s.id] = s.token
      if isPlain(s, record) then finishPlainly(s, lease, record)
      else
        flush()
        if s.kind == 'f' then finishFully(s, lease) else putBack(s, lease) end
        anyNeeded = anyNeeded or call('EXISTS', root .. 'needed') == 1
      end
    end
  else
    -- Tokens start at 1, so that a job that was never settled matches none.
    local r = record and parse(s.id, record)
    if not r or r.settled ~= s.token then answer = 'x' end
  end
  if answer ~= 's' then all = false end
  answers[n] = answer
end
flush()
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
  for (const { settlement, followUps } of settlements) {
    const output = settlement.kind === 'finish' ? (settlement.output ?? '') : ''
    args.push(packId(settlement.id), lineOf(settlement), output)
    if (settlement.error !== null) args.push(settlement.error)
    for (const job of followUps) args.push(job.id, job.spec, job.body)
  }
  const [hinted, letters] = (await partition.run(SETTLE, args)) as [number, string?]
  return { hinted, answer: settlements.map((_, n) => readAnswer(letters?.[n])) }
}

function lineOf(settlement: Settlement): string {
  const { token, yieldsToCancel, counters, error, followUps } = settlement
  const common = `${token}\t${yieldsToCancel ? 'y' : ''}\t${packCounters(counters)}\t${error === null ? '' : 'e'}\t${followUps.length}`
  switch (settlement.kind) {
    case 'finish': {
      const { state, output, reason, keepMs, startedAgoMs } = settlement
      const keep = keepMs !== null && keepMs <= 0 ? '0' : whole(keepMs)
      return `${common}\tf\t${codeOf(state)}\t${nullable(reason)}\t${keep}\t${whole(startedAgoMs)}\t${output === null ? '' : output.length}`
    }
    case 'again': {
      const { delayMs, place, started, suspect } = settlement
      return `${common}\ta\t${whole(Math.max(0, delayMs))}\t${place === 'due' ? 'd' : ''}\t${started ? 'y' : ''}\t${suspect ? 'y' : ''}\t`
    }
  }
}

function readAnswer(letter: string | undefined): SettleAnswer {
  switch (letter) {
    case 'x':
      return 'stale'
    case 'c':
      return 'cancel-asked'
  }
  return 'settled'
}

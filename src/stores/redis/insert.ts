/**
 * New work: `insert`, and the follow-ups of settlements, which are inserts like any other.
 *
 * A call whose connection broke is sent again, perhaps when its jobs have long ended and are forgotten. So each call has a name, and
 * `c:<name>` keeps for a while how it came out.
 */
import { randomBytes } from 'node:crypto'
import type { Inserted } from '../../store/intake.ts'
import { jobsLua } from './fragments.ts'
import type { Announcement } from './hints.ts'
import { unpackId } from './ids.ts'
import type { Packed } from './new-job-encoding.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { pairOf } from './script.ts'

export const intakeLua: string = String.raw`
-- A job comes as three texts: its packed id; its queue alone when it is plain and due now, else a tab and the fields below; its fixed
-- fields and texts as they will lie in the record. An id that goes on with a number belongs to the partition of that number.

-- Plain jobs that were added and are not in line yet, by queue.
local fresh, freshIds, freshFrom = {}, {}, nil

local function logInserts(ids, first)
  local n = 1
  while n <= #ids do
    local chunk = floor((first + n - 1) / CHUNK)
    local last = min(#ids, (chunk + 1) * CHUNK - first)
    local part = {}
    for k = n, last do part[#part + 1] = ids[k] end
    if call('RPUSH', root .. 'log:' .. text(chunk), unpack(part)) == #part then call('ZADD', root .. 'chunks', chunk, text(chunk)) end
    n = last + 1
  end
end

local function newSeq(count)
  return call('HINCRBY', root .. 'meta', 'seq', count) - count + 1
end

local function known(id)
  local lease = leaseOf(id)
  return lease and find(lease.flags, 'b', 1, true) and 'l' .. lease.token or 'c'
end

local function clocks(r, spec)
  r.due = tonumber(spec.runAt) or now + tonumber(spec.delay)
  if spec.latest then r.due = min(r.due, max(now, spec.latest)) end
  r.place = r.due
  local startWithin, deadline = tonumber(spec.startWithin), tonumber(spec.deadline)
  r.startBy = startWithin and r.due + startWithin or nil
  r.deadlineAt = deadline and now + deadline or nil
  r.keyUntil = tonumber(spec.forMs) and now + tonumber(spec.forMs) or 0
end

local function readSpec(fields)
  return {
    queue = fields[2], delay = fields[3], runAt = fields[4], startWithin = fields[5], deadline = fields[6], key = fields[7],
    forMs = fields[8], replaces = fields[9] == 'r', worker = fields[10], leaseMs = fields[11], needs = fields[12],
    maxWait = fields[13],
  }
end

-- Gives a waiting job the new one's input, options and clocks, and fresh counters. Its id, parent, needs and errors stay, and its place
-- if it was due and still is, so that a job which is replaced again and again gets its turn.
local function replace(r, state, spec, fixed)
  stepOut(r, state)
  unbind(r)
  unmark(r, 'u')
  moved(r.queue, state, nil)
  local copy = parse(r.id, 'P1\t\t0\n' .. fixed)
  local f = fieldsOf(sub(copy.fixed, 1, -2))
  for n = #f + 1, 11 do f[n] = '' end
  f[1], f[7] = r.task, r.parent
  local n = 11
  while f[n] == '' do n = n - 1 end
  r.fixed = concat(f, '\t', 1, n) .. '\n'
  r.texts = copy.texts
  r.queue, r.priority, r.keepCancelled = copy.queue, copy.priority, copy.keepCancelled
  r.key, r.during, r.startWithin, r.deadline = copy.key, copy.during, copy.startWithin, copy.deadline
  r.counters = ''
  unmark(r, 's')
  local maxWait, place = tonumber(spec.maxWait), r.place
  spec.latest = maxWait and r.created + maxWait or nil
  clocks(r, spec)
  if r.due <= now then r.place = min(place, r.due) end
  local to = state == BLOCKED and BLOCKED or r.due > now and SCHEDULED or READY
  lineUp(r, to)
  save(r)
  bind(r)
  moved(r.queue, nil, to)
  rekey(r, to)
end

local function addNeeds(r, needs)
  for need, how, partition in gmatch(needs, '(' .. string.rep('.', IDLENGTH) .. ')(%a)(%d*),') do
    call('HSET', root .. 'n:' .. r.id, need, how .. partition)
    if partition == '' then addDependant(need, r)
    else
      post(partition, { 'wait', r.id, need, ARGV[3] })
    end
  end
end

-- Adds a job that is not plain. Answers 'c' created, 'l<token>' created under a lease, 'd<id>' duplicate, 'r<id>' replaced.
local function insertOne(id, line, fixed)
  if call('EXISTS', keyOf(id)) == 1 then return known(id) end
  local spec = readSpec(fieldsOf(line))
  if spec.key ~= '' then
    local holder = holderOf(sub(spec.key, 2))
    if holder then
      local r = spec.replaces and load(holder)
      local state = r and stateOf(r)
      if not r or state >= RUNNING then return 'd' .. holder end
      replace(r, state, spec, fixed)
      return 'r' .. holder
    end
  end
  local seq = newSeq(1)
  local r = parse(id, 'P' .. text(seq) .. '\t\t' .. text(now) .. '\n' .. fixed)
  r.ticket = ''
  clocks(r, spec)
  logInserts({ id }, seq)
  addNeeds(r, spec.needs)
  if spec.worker ~= '' then
    if spec.needs ~= '' then mark(r, 'n') end
    save(r)
    writeLease(id, {
      token = newToken(), untilAt = now + tonumber(spec.leaseMs), startedAt = text(now), flags = 'b', worker = spec.worker, reason = '',
    })
    moved(r.queue, nil, RUNNING)
    rekey(r, RUNNING)
    return 'l' .. newToken()
  end
  local needs = spec.needs == '' and 'met' or weigh(r)
  local state = needs ~= 'met' and BLOCKED or r.due > now and SCHEDULED or READY
  if state == BLOCKED then mark(r, 'n') end
  lineUp(r, state)
  save(r)
  bind(r)
  moved(r.queue, nil, state)
  rekey(r, state)
  if needs == 'cancel' then
    cancelWaiting(r, BLOCKED, '=need-failed')
    releaseAndErase(r, true)
  end
  return 'c'
end

-- Lines up what insertPlain added.
local function flushFresh()
  if not freshFrom then return end
  logInserts(freshIds, freshFrom)
  for queue, entries in pairs(fresh) do
    call('RPUSH', root .. 'line:' .. queue, unpack(entries))
    tally[queue] = tally[queue] or {}
    tally[queue][READY] = (tally[queue][READY] or 0) + #entries
    hint(WORK)
  end
  fresh, freshIds, freshFrom = {}, {}, nil
end

-- Adds a plain job of priority 0 that is due now under the given rank. Lines it up with the next flush.
local function insertPlain(id, queue, fixed, seq)
  -- Claims count the size of large ones, which they know by the letter.
  local large = #fixed > SMALL
  local ticket = (large and 'x' or '') .. text(seq)
  if not call('SET', keyOf(id), 'P' .. ticket .. '\t' .. (large and text(seq) or '') .. '\t' .. text(now) .. '\n' .. fixed, 'NX') then
    freshIds[#freshIds + 1] = id
    forgetRank(seq)
    return known(id)
  end
  freshFrom = freshFrom or seq
  freshIds[#freshIds + 1] = id
  local entries = fresh[queue]
  if not entries then
    entries = {}
    fresh[queue] = entries
  end
  entries[#entries + 1] = id .. ticket
  return 'c'
end

-- Adds a list of jobs, one after the other, so that the first wins a key that several ask for. Answers how each came out.
local function insertAll(jobs)
  local answers = {}
  local n = 1
  while n <= #jobs do
    -- A run of plain jobs takes its ranks at once.
    local plain = n
    while plain <= #jobs and #jobs[plain][1] == IDLENGTH and sub(jobs[plain][2], 1, 1) ~= '\t' do plain = plain + 1 end
    if plain > n then
      local seq = newSeq(plain - n)
      freshFrom = seq
      for k = n, plain - 1 do
        answers[k] = insertPlain(jobs[k][1], jobs[k][2], jobs[k][3], seq + k - n)
      end
      flushFresh()
      n = plain
    elseif #jobs[n][1] > IDLENGTH then
      post(sub(jobs[n][1], IDLENGTH + 1), { 'insert', sub(jobs[n][1], 1, IDLENGTH), jobs[n][2], jobs[n][3] })
      answers[n] = 'c'
      n = n + 1
    else
      answers[n] = insertOne(jobs[n][1], jobs[n][2], jobs[n][3])
      n = n + 1
    end
  end
  return answers
end

local function nextJobs(count)
  local jobs = {}
  for n = 1, count do jobs[n] = { nextArg(), nextArg(), nextArg() } end
  return jobs
end
`

/** Longer than any call waits for its answer, in ms. */
const madeMs = 60_000

const INSERT = pairOf(
  'insert',
  String.raw`
-- ARGV[4...7]: how many jobs, a channel and a message to tell others of them, or '', name of the call; then three texts for each job
local count, made = tonumber(ARGV[4]), root .. 'c:' .. ARGV[7]
local byQueue, order, met = {}, {}, {}
for n = 8, 7 + 3 * count, 3 do
  local queue = ARGV[n + 1]
  if #ARGV[n] ~= IDLENGTH or sub(queue, 1, 1) == '\t' or met[ARGV[n]] or #ARGV[n + 2] > SMALL then return false end
  met[ARGV[n]] = true
  if not byQueue[queue] then
    byQueue[queue] = { n = 0 }
    order[#order + 1] = queue
  end
end
if call('EXISTS', root .. 'meta') == 0 then return false end
if count == 0 then return { 0 } end
if not call('SET', made, '', 'PX', ${madeMs}, 'NX') then return false end
local seq = call('HINCRBY', root .. 'meta', 'seq', count) - count + 1
local records, ids, middle = {}, {}, '\t\t' .. format('%.0f', now) .. '\n'
for n = 1, count do
  local id, ticket = ARGV[5 + 3 * n], format('%d', seq + n - 1)
  records[2 * n - 1], records[2 * n] = root .. 'j:' .. id, 'P' .. ticket .. middle .. ARGV[7 + 3 * n]
  ids[n] = id
  local entries = byQueue[ARGV[6 + 3 * n]]
  entries.n = entries.n + 1
  entries[entries.n] = id .. ticket
end
local isNew = call('MSETNX', unpack(records)) == 1
local n = 1
while n <= count do
  local chunk = floor((seq + n - 1) / CHUNK)
  local last = min(count, (chunk + 1) * CHUNK - seq)
  local field = format('%.0f', chunk)
  if isNew then
    if call('RPUSH', root .. 'log:' .. field, unpack(ids, n, last)) == last - n + 1 then call('ZADD', root .. 'chunks', chunk, field) end
  elseif call('HINCRBY', root .. 'gone', field, last - n + 1) >= CHUNK then
    call('HDEL', root .. 'gone', field)
    call('ZREM', root .. 'chunks', field)
    call('UNLINK', root .. 'log:' .. field)
  end
  n = last + 1
end
-- Some are known: the ranks are left unused.
if not isNew then
  call('DEL', made)
  return false
end
for _, queue in ipairs(order) do
  local entries = byQueue[queue]
  call('RPUSH', root .. 'line:' .. queue, unpack(entries))
  if call('HINCRBY', root .. 'tally', '2:' .. queue, #entries) == #entries then
    call('ZADD', root .. 'busy', 0, queue)
  end
end
if ARGV[5] ~= '' then call('PUBLISH', ARGV[5], ARGV[6]) end
return { 1 }
`,
  [...jobsLua, intakeLua],
  `
local count, channel, message, made = tonumber(nextArg()), nextArg(), nextArg(), root .. 'c:' .. nextArg()
local before = call('GET', made)
if before then return { 0, before ~= '' and fieldsOf(before) or false } end
local answers = insertAll(nextJobs(count))
local told = ''
for _, answer in ipairs(answers) do
  if answer ~= 'c' then
    told = concat(answers, '\\t')
    break
  end
end
if count > 0 then call('SET', made, told, 'PX', ${madeMs}) end
local hinted = close()
if channel ~= '' then call('PUBLISH', channel, message) end
return { hinted, told ~= '' and answers or false }
`,
  'is-refused',
)

/** Adds jobs to a partition. */
export async function insert(
  partition: Partition,
  jobs: readonly Packed[],
  announcement: Announcement,
): Promise<Answered<Inserted[]>> {
  const args: string[] = [String(jobs.length), ...announcement, newName()]
  for (const job of jobs) args.push(job.id, job.spec, job.body)
  const [hinted, answers] = (await partition.runPair(INSERT, args, () => args)) as [
    number,
    (readonly string[] | null)?,
  ]
  return {
    hinted,
    answer: jobs.map(({ job }, n) => readInserted(job.id, answers?.[n] ?? 'c')),
  }
}

const ofThisProcess = randomBytes(6).toString('base64url')
let calls = 0

/** A name that no other call has. */
function newName(): string {
  calls += 1
  return ofThisProcess + calls.toString(36)
}

function readInserted(id: string, answer: string): Inserted {
  const letter = answer[0]
  if (letter === 'c') return { id, status: 'created', token: null }
  if (letter === 'l') return { id, status: 'created', token: Number(answer.slice(1)) }
  const status = letter === 'd' ? 'duplicate' : 'replaced'
  return { id: unpackId(answer, 1), status, token: null }
}

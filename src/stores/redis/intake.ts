/**
 * How scripts add jobs: those of inserts, and the follow-ups of settlements, which are inserts like
 * any other.
 */
import { fieldAt, fieldCount } from './job-fields.ts'

export const intakeLua: string = String.raw`
-- A job comes as three texts: its packed id; its queue when it is plain and due now, with a tab and
-- its group if it has one, else a tab and the fields that readSpec names; its fixed fields and
-- texts as they will lie in the record. An id that goes on with a number belongs to the partition
-- of that number.

-- Plain jobs that were added and are not in line yet, by queue; and their ranks and ids by group.
local fresh, freshGroups, freshIds, freshFrom = {}, {}, {}, nil

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

-- Reads a text of a field.
local function unescaped(field)
  return (string.gsub(field, '\\(.)', { t = '\t', n = '\n', ['\\'] = '\\' }))
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
  r.place = r.due - r.headStart
  local startWithin, deadline = tonumber(spec.startWithin), tonumber(spec.deadline)
  r.startBy = startWithin and r.due + startWithin or nil
  r.deadlineAt = deadline and now + deadline or nil
  r.keyUntil = tonumber(spec.forMs) and now + tonumber(spec.forMs) or 0
end

local function readSpec(fields)
  return {
    queue = fields[2], delay = fields[3], runAt = fields[4], startWithin = fields[5], deadline = fields[6], key = fields[7],
    forMs = fields[8], replaces = fields[9], maxWait = fields[10], needs = fields[11],
    -- How it enters: 'r' running, with worker and ms of its lease; 'f' failed, with reason, ms to
    -- keep and an attempt.
    entry = fields[12], by = fields[13], ms = fields[14], attempt = fields[15], holds = fields[16],
  }
end

-- Gives a waiting job the new one's input, options, labels and clocks, and fresh counters. Its id,
-- parent, needs and attempts stay, and its place if it was due and still is, so that a job which is
-- replaced again and again gets its turn.
local function replace(r, state, spec, fixed)
  stepOut(r, state)
  unbind(r)
  unmark(r, 'u')
  leaveGroup(r)
  moved(r.queue, state, nil)
  local copy = parse(r.id, 'P1\t\t0\n' .. fixed)
  local f = fieldsOf(sub(copy.fixed, 1, -2))
  for n = #f + 1, ${fieldCount} do f[n] = '' end
  f[${fieldAt.task}], f[${fieldAt.parent}] = r.task, r.parent
  local n = ${fieldCount}
  while f[n] == '' do n = n - 1 end
  r.fixed = concat(f, '\t', 1, n) .. '\n'
  r.texts = copy.texts
  r.queue, r.priority, r.keepCancelled = copy.queue, copy.priority, copy.keepCancelled
  r.key, r.during, r.startWithin, r.deadline = copy.key, copy.during, copy.startWithin, copy.deadline
  r.group = copy.group
  joinGroup(r)
  r.counters = ''
  unmark(r, 's')
  local maxWait, stoodFor = tonumber(spec.maxWait), r.place + r.headStart
  r.headStart = copy.headStart
  spec.latest = maxWait and r.created + maxWait or nil
  clocks(r, spec)
  if r.due <= now then r.place = min(stoodFor, r.due) - r.headStart end
  local to = state == BLOCKED and BLOCKED or r.due > now and SCHEDULED or READY
  lineUp(r, to)
  save(r)
  bind(r)
  moved(r.queue, nil, to)
  rekey(r, to)
end

-- Writes down what a job needs; it is to be weighed, which lets it wait for those that are open.
local function addNeeds(r, needs)
  local unmet, wanted = { n = 0 }, { n = 0 }
  local function add(list, key, need, what)
    list[list.n + 1], list[list.n + 2] = need, what
    list.n = list.n + 2
    if list.n < MOST then return list end
    call('HSET', root .. key .. r.id, unpack(list))
    return { n = 0 }
  end
  for need, how, partition, wants in gmatch(needs, '(' .. string.rep('.', IDLENGTH) .. ')(%a)(%d*)(%-?[hk]?),') do
    unmet = add(unmet, 'n:', need, how .. partition)
    if wants ~= '' then
      mark(r, 'k')
      wanted = add(wanted, 'k:', need, how .. partition .. wants)
    end
    if partition ~= '' then
      post(partition, { 'wait', r.id, need, ARGV[3], wants ~= '' and 'k' or '' })
    end
  end
  if unmet.n > 0 then call('HSET', root .. 'n:' .. r.id, unpack(unmet)) end
  if wanted.n > 0 then call('HSET', root .. 'k:' .. r.id, unpack(wanted)) end
end

-- What a job needs that waits for others of this partition alone, and is plain otherwise.
local function needy(job)
  if #job[1] ~= IDLENGTH then return nil end
  local needs = match(job[2], '^\t[^\t]*\t0?\t\t\t\t\t\t\t\t([^\t]+)\t\t\t\t\t$')
  if not needs or find(needs, '%u%d+%-?[hk]?,') then return nil end
  return needs
end

local NEED = '(' .. string.rep('.', IDLENGTH) .. ')(%a)(%-?[hk]?),'

-- The jobs from one on that are needy, unknown, and need nothing but what is there and open, as far
-- as they go: for each its id, what it needs by turns with how, and the same of what it wants. Second
-- the kinds of those needed that were there before.
local function allNeedy(jobs, from)
  local all, keys, met, kinds = {}, {}, {}, {}
  while #all < MOST and jobs[from + #all] do
    local id, needs = jobs[from + #all][1], needy(jobs[from + #all])
    if not needs or met[id] then break end
    met[id], keys[#keys + 1], all[#all + 1] = true, keyOf(id), { id = id, needs = needs }
  end
  if #all == 0 then return all, kinds end
  local mayBeKnown, made = call('EXISTS', unpack(keys)) > 0, {}
  for k, one in ipairs(all) do
    local unmet, wanted, n, w, isOpen = {}, {}, 0, 0, not mayBeKnown or call('EXISTS', keys[k]) == 0
    for need, how, wants in gmatch(one.needs, NEED) do
      if not made[need] then
        if not kinds[need] then kinds[need] = call('GETRANGE', keyOf(need), 0, 0) end
        isOpen = isOpen and need ~= one.id and find(kinds[need], '^[PWX]')
      end
      unmet[n + 1], unmet[n + 2], n = need, how, n + 2
      if wants ~= '' then wanted[w + 1], wanted[w + 2], w = need, how .. wants, w + 2 end
    end
    if not isOpen then
      for n = #all, k, -1 do all[n] = nil end
      break
    end
    made[one.id], one.unmet, one.wanted = true, unmet, wanted
  end
  return all, kinds
end

-- Calls a command with a list of any length.
local function callAll(command, key, list)
  for first = 1, #list, MOST do call(command, key, unpack(list, first, min(#list, first + MOST - 1))) end
end

-- Adds jobs that are needy, one after the other. Returns how many that were. What is known of others,
-- and what is written to one place, is read and written once for all of them, and no record is made
-- but as text.
local function insertNeedy(jobs, from, answers)
  local all, kinds = allNeedy(jobs, from)
  if #all == 0 then return 0 end
  local seq, created = newSeq(#all), '\t' .. text(now)
  local ids, waiting, members, byId, lines, records = {}, {}, {}, {}, {}, {}
  for k, one in ipairs(all) do
    local line = match(jobs[from + k - 1][3], '^[^\n]*')
    if not lines[line] then
      local f = fieldsOf(line)
      lines[line] = { queue = f[${fieldAt.queue}], group = f[${fieldAt.group}] or '' }
    end
    local of = lines[line]
    one.seq = seq + k - 1
    ids[k], byId[one.id], answers[from + k - 1] = one.id, one, 'c'
    if of.group ~= '' then
      local key = root .. 'g:' .. sub(of.group, 2)
      local list = members[key] or {}
      members[key], list[#list + 1], list[#list + 2] = list, one.seq, one.id
    end
    callAll('HSET', root .. 'n:' .. one.id, one.unmet)
    if one.wanted[1] then callAll('HSET', root .. 'k:' .. one.id, one.wanted) end
    for n = 1, #one.unmet, 2 do
      local list = waiting[one.unmet[n]] or {}
      waiting[one.unmet[n]], list[#list + 1], list[#list + 2] = list, one.seq, one.id
    end
    moved(of.queue, nil, BLOCKED)
  end
  local needed = {}
  for need, list in pairs(waiting) do
    needed[#needed + 1] = need
    callAll('ZADD', root .. 'd:' .. need, list)
    if not byId[need] and kinds[need] ~= 'W' then
      local r = load(need)
      if not has(r, 'w') then
        mark(r, 'w')
        save(r)
      end
    end
  end
  callAll('SADD', root .. 'needed', needed)
  for k, one in ipairs(all) do
    local isWaitedFor, wants = waiting[one.id], one.wanted[1]
    local kind = wants and 'X' or isWaitedFor and 'W' or 'P'
    local marks = (wants and 'k' or '') .. 'n' .. (isWaitedFor and 'w' or '')
    records[2 * k - 1] = keyOf(one.id)
    records[2 * k] = kind .. '\t' .. format('%d', one.seq) .. created .. '\t\t\t' .. marks .. '\n' .. jobs[from + k - 1][3]
  end
  call('MSET', unpack(records))
  logInserts(ids, seq)
  for group, list in pairs(members) do callAll('ZADD', group, list) end
  return #all
end

-- Lets blocked jobs of this partition wait for a new one as well.
local function hold(need, holds)
  for id, how, wants in gmatch(holds, '(' .. string.rep('.', IDLENGTH) .. ')(%a)(%-?[hk]?),') do
    local r = id ~= need and load(id)
    if r and stateOf(r) == BLOCKED then
      call('HSET', root .. 'n:' .. id, need, how)
      if wants ~= '' then
        call('HSET', root .. 'k:' .. id, need, how .. wants)
        if not has(r, 'k') then
          mark(r, 'k')
          save(r)
        end
      end
      addDependant(need, r)
    end
  end
end

-- Adds a job that runs at once under a lease of the caller.
local function enterRunning(r, spec)
  save(r)
  writeLease(r.id, {
    token = newToken(), untilAt = now + tonumber(spec.ms), startedAt = text(now), flags = 'b',
    worker = spec.by, reason = '',
  })
  moved(r.queue, nil, RUNNING)
  rekey(r, RUNNING)
  return 'l' .. newToken()
end

-- Adds a job that has failed already. It takes no key.
local function enterFailed(r, spec)
  if spec.attempt and spec.attempt ~= '' then
    call('RPUSH', root .. 'a:' .. r.id, unescaped(sub(spec.attempt, 2)))
    mark(r, 'a')
  end
  writeEnd(r, nil, {
    state = FAILED, keep = spec.ms, reason = spec.by, settled = '', worker = '', startedAt = '',
    counters = '', outputLength = '', output = '',
  })
  if spec.ms ~= '' and tonumber(spec.ms) <= 0 then erase(r, FAILED, false) end
  return 'c'
end

-- Adds a job that is not plain. Returns 'c' created, 'l<token>' created under a lease, 'd<id>'
-- duplicate, 'r<id>' replaced.
local function insertOne(id, line, fixed)
  if call('EXISTS', keyOf(id)) == 1 then return known(id) end
  local spec = readSpec(fieldsOf(line))
  if spec.key ~= '' and spec.entry ~= 'f' then
    local holder = holderOf(sub(spec.key, 2))
    if holder then
      -- 'r' any waiting holder, 'q' one in the same queue.
      local r = spec.replaces ~= '' and load(holder)
      local isOther = r and spec.replaces == 'q' and r.queue ~= spec.queue
      local state = r and stateOf(r)
      if not r or isOther or state >= RUNNING then return 'd' .. holder end
      replace(r, state, spec, fixed)
      return 'r' .. holder
    end
  end
  local seq = newSeq(1)
  local r = parse(id, 'P' .. text(seq) .. '\t\t' .. text(now) .. '\n' .. fixed)
  r.ticket = ''
  clocks(r, spec)
  logInserts({ id }, seq)
  joinGroup(r)
  if spec.entry == 'r' then return enterRunning(r, spec) end
  if spec.entry == 'f' then return enterFailed(r, spec) end
  addNeeds(r, spec.needs)
  local needs = spec.needs == '' and 'met' or weigh(r)
  local state = needs ~= 'met' and BLOCKED or r.due > now and SCHEDULED or READY
  if state == BLOCKED then mark(r, 'n') end
  lineUp(r, state)
  save(r)
  bind(r)
  moved(r.queue, nil, state)
  rekey(r, state)
  if spec.holds and spec.holds ~= '' then hold(id, spec.holds) end
  if needs ~= 'met' and needs ~= 'open' then
    endForNeed(r, needs)
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
  for group, members in pairs(freshGroups) do
    call('ZADD', root .. 'g:' .. group, unpack(members))
  end
  fresh, freshGroups, freshIds, freshFrom = {}, {}, {}, nil
end

-- Adds a plain job of priority 0 that is due now under the given rank. Lines it up with the next
-- flush.
local function insertPlain(id, spec, fixed, seq)
  local queue, group = spec, nil
  local tab = find(spec, '\t', 1, true)
  if tab then queue, group = sub(spec, 1, tab - 1), sub(spec, tab + 2) end
  -- Claims ask about large ones and those of a group, which they know by the letter.
  local odd = group or #fixed > SMALL
  local ticket = (odd and 'x' or '') .. text(seq)
  local head = concat({ ticket, odd and text(seq) or '', text(now) }, '\t')
  if not call('SET', keyOf(id), 'P' .. head .. '\n' .. fixed, 'NX') then
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
  if group then
    local members = freshGroups[group] or {}
    freshGroups[group] = members
    members[#members + 1], members[#members + 2] = seq, id
  end
  return 'c'
end

-- Whether a job is due now and belongs here.
local function isPlain(job) return #job[1] == IDLENGTH and sub(job[2], 1, 1) ~= '\t' end

-- Adds a list of jobs, one after the other, so that the first wins a key that several ask for.
-- Returns how each came out.
local function insertAll(jobs)
  local answers = {}
  local n = 1
  while n <= #jobs do
    -- A run of plain jobs takes its ranks at once.
    local plain = n
    while plain <= #jobs and plain - n < MOST and isPlain(jobs[plain]) do plain = plain + 1 end
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
      local many = insertNeedy(jobs, n, answers)
      if many == 0 then
        answers[n] = insertOne(jobs[n][1], jobs[n][2], jobs[n][3])
        many = 1
      end
      n = n + many
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

/**
 * How a job ends, and what that means for the jobs that need it.
 *
 * `n:<id>` holds the needs of a job that are not met: `c` when its failure cancels the job, `f`
 * when it fails the job, `r` when the job runs anyway; in capitals and followed by its partition
 * when the needed job lies in another, and by `!` when it failed there while the job was leased as
 * overdue. `d:<id>` holds those who wait for a job, by insertion; `needed` the ids that have any.
 * `kept:<ms>` holds finished jobs by how long they are kept, in the order of their ends; `kept:`
 * those kept for ever. `keeps` orders these lists by a time before which none of their jobs has
 * been kept long enough.
 */

export const endingsLua: string = String.raw`
local RELEASES = 500

-- Writes the end of a job that is in no line, under no lease and holds no key. The release of what
-- waits for it must follow.
local function writeEnd(r, from, ending)
  r.state, r.finishedAt, r.keep, r.reason = ending.state, now, ending.keep, ending.reason
  r.settled, r.worker, r.startedAt, r.counters = ending.settled, ending.worker, ending.startedAt, ending.counters
  r.outputLength = ending.outputLength
  r.texts = r.texts .. ending.output
  r.marks = string.gsub(r.marks, '[sn]', '')
  r.ticket = newTicket(r)
  save(r)
  if call('RPUSH', root .. 'kept:' .. r.keep, r.id .. r.ticket) == 1 then
    call('ZADD', root .. 'keeps', r.keep == '' and '+inf' or now + tonumber(r.keep), r.keep)
  end
  if r.state ~= COMPLETED then call('ZADD', root .. 'others', r.seq, r.id) end
  moved(r.queue, from, r.state)
  hint(FINISHED)
end

-- Brings a job that is in no line and under no lease into a final state. The release of what waits
-- for it must follow.
local function finish(r, from, ending)
  writeEnd(r, from, ending)
  rekey(r, r.state)
end

local function dropDependant(need, id)
  call('ZREM', root .. 'd:' .. need, id)
  if call('EXISTS', root .. 'd:' .. need) == 0 then call('SREM', root .. 'needed', need) end
end

local function dropNeeds(id)
  local needs = call('HKEYS', root .. 'n:' .. id)
  for _, need in ipairs(needs) do dropDependant(need, id) end
  if #needs > 0 then call('DEL', root .. 'n:' .. id) end
end

-- Removes a job that does not run, with all that belongs to it.
local function erase(r, state, keepKey)
  glanced[r.id] = nil
  call('DEL', keyOf(r.id))
  if has(r, 'a') then call('DEL', root .. 'a:' .. r.id) end
  if has(r, 'p') then call('DEL', root .. 'p:' .. r.id) end
  if has(r, 'l') then call('DEL', root .. 'l:' .. r.id) end
  if has(r, 'k') then call('UNLINK', root .. 'k:' .. r.id) end
  if has(r, 'r') then call('UNLINK', root .. 'r:' .. r.id, root .. 'rn:' .. r.id) end
  leaveGroup(r)
  if state == BLOCKED then dropNeeds(r.id) end
  if state > COMPLETED then call('ZREM', root .. 'others', r.id) end
  forget(r)
  moved(r.queue, state, nil)
  dropKey(r, keepKey)
end

-- Ends a job that waits, in its line or blocked, as cancelled or failed. The release of what waits
-- for it must follow.
local function endWaiting(r, from, state, reason)
  stepOut(r, from)
  unbind(r)
  if from == BLOCKED then dropNeeds(r.id) end
  finish(r, from, {
    state = state, keep = r.keepCancelled, reason = reason, settled = r.settled, worker = r.worker,
    startedAt = '', counters = r.counters, outputLength = '', output = '',
  })
end

-- Ends a blocked job as a failed need says: by the letter of the need. The release of what waits
-- for it must follow.
local function endForNeed(r, how)
  endWaiting(r, BLOCKED, find(how, '^[fF]') and FAILED or CANCELLED, '=need-failed')
end

-- Makes blocked jobs ready, or scheduled, that need nothing any more, in the order of their inserts.
local function unblockAll(jobs)
  local lines, records = {}, {}
  local ticket = call('HINCRBY', root .. 'meta', 'ticket', #jobs) - #jobs
  for n, r in ipairs(jobs) do
    unmark(r, 'n')
    r.place = max(r.due, now) - r.headStart
    local state = r.due > now and SCHEDULED or READY
    local line = lines[r.queue]
    local isLast = state == READY and r.priority == 0 and r.headStart == 0 and not has(r, 's')
      and (line and r.seq > line.seq or not line and comesLast(r.queue, r.place, r.seq))
    if isLast then
      line = line or {}
      lines[r.queue], line.seq = line, r.seq
      r.ticket = ticketOf(r, ticket + n)
      line[#line + 1] = r.id .. r.ticket
      hint(WORK)
    else
      lineUp(r, state)
    end
    glanced[r.id] = nil
    records[2 * n - 1], records[2 * n] = keyOf(r.id), recordOf(r)
    moved(r.queue, BLOCKED, state)
    rekey(r, state)
  end
  for queue, line in pairs(lines) do call('RPUSH', root .. 'line:' .. queue, unpack(line)) end
  call('MSET', unpack(records))
end

-- Tells jobs, in the order of their inserts, that one of their needs is met: 'ending' returns how it
-- ended, for those who want to know.
local function answerMet(ids, need, ending)
  local keys, free = {}, {}
  for _, id in ipairs(ids) do
    if call('HDEL', root .. 'n:' .. id, need) == 1 then
      if call('EXISTS', root .. 'n:' .. id) == 0 then
        keys[#keys + 1], free[#free + 1] = keyOf(id), id
      else
        -- The record of a job that needs many may be long: it is read once, for the last of them.
        local r = glanceOnce(id)
        if r and wantsEnd(r, need) then keepEnd(r, need, ending(r.group)) end
      end
    end
  end
  if #free == 0 then return end
  local found, running, blocked = call('MGET', unpack(keys)), call('HMGET', root .. 'running', unpack(free)), {}
  for n, id in ipairs(free) do
    local r = found[n] and parse(id, found[n])
    if r and wantsEnd(r, need) then keepEnd(r, need, ending(r.group)) end
    if r and not r.state and not running[n] and has(r, 'n') then blocked[#blocked + 1] = r end
  end
  if #blocked > 0 then unblockAll(blocked) end
end

-- Tells a job that one of its needs failed: 'ending' returns how, for those who want to know. Returns
-- the job when it ended for it.
local function answerFailed(id, need, ending)
  local how = call('HGET', root .. 'n:' .. id, need)
  local r = how and glanceOnce(id)
  if not r then return nil end
  if wantsEnd(r, need) then keepEnd(r, need, ending(r.group)) end
  if find(how, '^[cCfF]') then
    if stateOf(r) == BLOCKED then
      r = load(id)
      endForNeed(r, how)
      return r
    end
    -- It is leased as overdue: the need is weighed again when it is put back.
    local elsewhere = match(how, '^%u%d+')
    if elsewhere then call('HSET', root .. 'n:' .. id, need, elsewhere .. '!') end
    return nil
  end
  call('HDEL', root .. 'n:' .. id, need)
  if call('EXISTS', root .. 'n:' .. id) == 0 and stateOf(r) == BLOCKED then unblockAll({ load(id) }) end
  return nil
end

-- Settles the needs of those who waited for an ended job, then of those that ended for it, and so
-- on. Beyond the bound of one call the rest is left in 'todo' for a relay, and how the job ended in
-- 'e:<id>'. 'r' is the ended job where it is known.
local function release(id, isMet, r)
  local ended, n, budget = { { id, isMet, r } }, 1, RELEASES
  while ended[n] do
    local need, met = ended[n][1], ended[n][2]
    local keptIn, known = {}, nil
    -- How the job ended, once for each group; for another partition each time.
    local function ending(group)
      if group and keptIn[group] then return nil end
      local r = ended[n][3]
      known = known or (r and r.state and endingOf(r)) or endOf(need)
        or call('GET', root .. 'e:' .. need) or nil
      if group then keptIn[group] = true end
      return known
    end
    if call('SISMEMBER', root .. 'needed', need) == 1 then
      local waiting = budget > 0 and call('ZRANGE', root .. 'd:' .. need, 0, budget) or {}
      local isAll = budget > 0 and #waiting <= budget
      if isAll then
        call('DEL', root .. 'd:' .. need)
        call('SREM', root .. 'needed', need)
      end
      local here = {}
      for k = 1, min(#waiting, budget) do
        local dependant = waiting[k]
        if not isAll then dropDependant(need, dependant) end
        local partition, wants = match(dependant, ':(%d+)(k?)$')
        if partition then
          local how = wants == 'k' and ending() or ''
          post(partition, { 'need', sub(dependant, 1, IDLENGTH), need, met and '1' or '0', how })
        elseif met then here[#here + 1] = dependant
        else
          local endedFor = answerFailed(dependant, need, ending)
          if endedFor then ended[#ended + 1] = { dependant, false, endedFor } end
        end
      end
      answerMet(here, need, ending)
      budget = budget - min(#waiting, max(budget, 0))
      if not isAll then
        call('RPUSH', root .. 'todo', need .. (met and '1' or '0'))
        hint(REST)
        -- The job may be gone by then.
        local told = ending(nil)
        if told then call('SET', root .. 'e:' .. need, told) end
      elseif not ended[n][3] then
        -- A relay is through: all are told.
        call('DEL', root .. 'e:' .. need)
      end
    end
    local r = n > 1 and ended[n][3]
    if r and r.keep ~= '' and tonumber(r.keep) <= 0 then erase(r, r.state, true) end
    n = n + 1
  end
end

local function releaseAndErase(r, keepKey)
  release(r.id, r.state == COMPLETED, r)
  if r.keep ~= '' and tonumber(r.keep) <= 0 then erase(r, r.state, keepKey) end
end

-- Whether a needed job of this partition has ended: 'open', 'met' or 'failed'.
local function needState(need, id)
  local kind = need ~= id and call('GETRANGE', keyOf(need), 0, 0)
  if kind == 'P' or kind == 'W' or kind == 'X' then return 'open', kind end
  local r = kind and kind ~= '' and load(need)
  if not r then return 'failed' end
  if not r.state then return 'open' end
  return r.state == COMPLETED and 'met' or 'failed'
end

-- Lets someone wait for a job. The job's record says so, so that no quick script settles it.
local function awaitJob(need, score, who, kind)
  call('ZADD', root .. 'd:' .. need, score, who)
  call('SADD', root .. 'needed', need)
  -- It may lose its key or bounds until it ends, so those are marked, too.
  kind = kind or call('GETRANGE', keyOf(need), 0, 0)
  if kind ~= 'P' and kind ~= 'X' then return end
  local r = load(need)
  if has(r, 'w') then return end
  mark(r, 'w')
  save(r)
end
local function addDependant(need, r, kind) awaitJob(need, r.seq, r.id, kind) end

-- Weighs a job's needs by what the partition knows now: strikes those that are met, or failed and
-- may fail. Returns whether all are 'met' or some 'open', or the letter of one that failed and may
-- not. Those that lie in another partition are asked for again when they failed.
local function weigh(r)
  local id = r.id
  local needs = call('HGETALL', root .. 'n:' .. id)
  local open = false
  for n = 1, #needs, 2 do
    local need, how = needs[n], needs[n + 1]
    local partition, failed = match(how, '^%u(%d+)(!?)$')
    if partition then
      open = true
      if failed == '!' then
        call('HSET', root .. 'n:' .. id, need, sub(how, 1, -2))
        post(partition, { 'wait', id, need, ARGV[3], wantsEnd(r, need) and 'k' or '' })
      end
    else
      local state, kind = needState(need, id)
      local kept = state == 'failed' and need ~= id and keptState(r, need)
      if kept == COMPLETED and call('EXISTS', keyOf(need)) == 0 then state = 'met' end
      if state ~= 'open' and wantsEnd(r, need) then keepEnd(r, need, endOf(need)) end
      if state == 'open' then
        open = true
        addDependant(need, r, kind)
      elseif state == 'failed' and how ~= 'r' then return how
      else
        call('HDEL', root .. 'n:' .. id, need)
        dropDependant(need, id)
      end
    end
  end
  return open and 'open' or 'met'
end
`

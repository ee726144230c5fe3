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
  call('DEL', keyOf(r.id))
  if has(r, 'a') then call('DEL', root .. 'a:' .. r.id) end
  if has(r, 'p') then call('DEL', root .. 'p:' .. r.id) end
  if has(r, 'l') then call('DEL', root .. 'l:' .. r.id) end
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

local function unblock(r)
  unmark(r, 'n')
  local state = r.due > now and SCHEDULED or READY
  r.place = max(r.due, now)
  lineUp(r, state)
  save(r)
  moved(r.queue, BLOCKED, state)
  rekey(r, state)
end

-- Tells a job that one of its needs ended. Returns the job when it ended for it.
local function answerNeed(id, need, isMet)
  local how = call('HGET', root .. 'n:' .. id, need)
  local r = how and load(id)
  if not r then return nil end
  local state = stateOf(r)
  if not isMet and find(how, '^[cCfF]') then
    if state == BLOCKED then
      endForNeed(r, how)
      return r
    end
    -- It is leased as overdue: the need is weighed again when it is put back.
    local elsewhere = match(how, '^%u%d+')
    if elsewhere then call('HSET', root .. 'n:' .. id, need, elsewhere .. '!') end
    return nil
  end
  call('HDEL', root .. 'n:' .. id, need)
  if state == BLOCKED and call('EXISTS', root .. 'n:' .. id) == 0 then unblock(r) end
  return nil
end

-- Settles the needs of those who waited for an ended job, then of those that ended for it, and so
-- on. Beyond the bound of one call the rest is left in 'todo' for a relay.
local function release(id, isMet)
  local ended, n, budget = { { id, isMet } }, 1, RELEASES
  while ended[n] do
    local need, met = ended[n][1], ended[n][2]
    n = n + 1
    if call('SISMEMBER', root .. 'needed', need) == 1 then
      local waiting = budget > 0 and call('ZRANGE', root .. 'd:' .. need, 0, budget - 1) or {}
      for _, dependant in ipairs(waiting) do
        budget = budget - 1
        dropDependant(need, dependant)
        local partition = match(dependant, ':(%d+)$')
        if partition then
          post(partition, { 'need', sub(dependant, 1, IDLENGTH), need, met and '1' or '0' })
        else
          local endedFor = answerNeed(dependant, need, met)
          if endedFor then ended[#ended + 1] = { dependant, false, endedFor } end
        end
      end
      if call('SISMEMBER', root .. 'needed', need) == 1 then
        call('RPUSH', root .. 'todo', need .. (met and '1' or '0'))
        hint(REST)
      end
    end
    local r = ended[n - 1][3]
    if r and r.keep ~= '' and tonumber(r.keep) <= 0 then erase(r, r.state, true) end
  end
end

local function releaseAndErase(r, keepKey)
  release(r.id, r.state == COMPLETED)
  if r.keep ~= '' and tonumber(r.keep) <= 0 then erase(r, r.state, keepKey) end
end

-- Whether a needed job of this partition has ended: 'open', 'met' or 'failed'.
local function needState(need, id)
  local r = need ~= id and load(need)
  if not r then return 'failed' end
  if not r.state then return 'open' end
  return r.state == COMPLETED and 'met' or 'failed'
end

-- Lets someone wait for a job. The job's record says so, so that no quick script settles it.
local function awaitJob(need, score, who)
  call('ZADD', root .. 'd:' .. need, score, who)
  call('SADD', root .. 'needed', need)
  -- It may lose its key or bounds until it ends, so those are marked, too.
  local kind = call('GETRANGE', keyOf(need), 0, 0)
  if kind ~= 'P' and kind ~= 'X' then return end
  local r = load(need)
  if has(r, 'w') then return end
  mark(r, 'w')
  save(r)
end
local function addDependant(need, r) awaitJob(need, r.seq, r.id) end

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
        post(partition, { 'wait', id, need, ARGV[3] })
      end
    else
      local state = needState(need, id)
      if state == 'open' then
        open = true
        addDependant(need, r)
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

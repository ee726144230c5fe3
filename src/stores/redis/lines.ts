/**
 * Where waiting jobs stand.
 *
 * - `line:<queue>`, a list: jobs of priority 0 that come in order, each as packed id and ticket. A
 *   job that leaves it otherwise than by a claim loses its ticket; the entry that it leaves behind
 *   is noted in `ghosts:<queue>` until a claim drops it.
 * - `early:<queue>`, a sorted set by priority: jobs that must stand before others of the line, and
 *   those of other priorities.
 * - `lost:<queue>`, likewise: suspects, each with its losses.
 * - `scheduled`, by due time; `bounds`, by the time at which a job has waited too long.
 *
 * Members of sorted sets begin with what orders them, in digits of fixed width: place, rank by
 * insertion.
 */

export const linesLua: string = String.raw`
-- Books of the call: how many jobs passed from one state to another, and how many left the log of
-- insertions.
local tally, gone = {}, {}
local function moved(queue, from, to)
  local counts = tally[queue]
  if not counts then
    counts = {}
    tally[queue] = counts
  end
  if from then counts[from] = (counts[from] or 0) - 1 end
  if to then counts[to] = (counts[to] or 0) + 1 end
end

-- The log of insertions is a list of ids for each CHUNK ranks. It is dropped when as many ranks as
-- it has are used and gone.
local function forgetRank(seq)
  local chunk = floor(seq / CHUNK)
  gone[chunk] = (gone[chunk] or 0) + 1
end
local function forget(r) forgetRank(r.seq) end

-- Writes the books; the last thing that a script does.
local function close()
  for queue, counts in pairs(tally) do
    for state, change in pairs(counts) do
      if change ~= 0 then
        local field = state .. ':' .. queue
        local count = call('HINCRBY', root .. 'tally', field, change)
        if count == 0 then call('HDEL', root .. 'tally', field) end
        if state == READY then
          if count <= 0 then
            call('ZREM', root .. 'busy', queue)
            -- What is left in the line are entries that jobs left behind.
            call('UNLINK', root .. 'line:' .. queue, root .. 'ghosts:' .. queue)
          elseif count == change then call('ZADD', root .. 'busy', 0, queue) end
        end
      end
    end
  end
  for chunk, count in pairs(gone) do
    local field = text(chunk)
    if call('HINCRBY', root .. 'gone', field, count) >= CHUNK then
      call('HDEL', root .. 'gone', field)
      call('ZREM', root .. 'chunks', field)
      call('UNLINK', root .. 'log:' .. field)
    end
  end
  return hinted()
end

local function rank(seq) return format('%012.0f', seq) end
local function placed(place, seq) return format('%016.0f', max(0, min(place, 9e15))) .. rank(seq) end
local function earlyMember(r) return placed(r.place, r.seq) .. r.id end
local function lostMember(r)
  local losses = match(r.counters, '^[^,]*,[^,]*,[^,]*,([^,]*)') or '0'
  return placed(r.place, r.seq) .. r.id .. losses
end
local function scheduledMember(r) return rank(r.seq) .. r.id end

-- Whether a job may stand at the end of its queue's line.
local function comesLast(queue, place, seq)
  local entry = call('LINDEX', root .. 'line:' .. queue, -1)
  if not entry then return true end
  local last = load(sub(entry, 1, IDLENGTH))
  if not last or last.ticket ~= sub(entry, IDLENGTH + 1) then return false end
  return place > last.place or (place == last.place and seq > last.seq)
end

-- Lines a job up as ready or scheduled. Its record must be saved afterwards.
local function lineUp(r, state)
  r.ticket = ''
  if state == SCHEDULED then
    call('ZADD', root .. 'scheduled', r.due, scheduledMember(r))
    hint(WORK)
  elseif state == READY then
    if has(r, 's') then call('ZADD', root .. 'lost:' .. r.queue, r.priority, lostMember(r))
    elseif r.priority == 0 and r.headStart == 0 and comesLast(r.queue, r.place, r.seq) then
      r.ticket = newTicket(r)
      call('RPUSH', root .. 'line:' .. r.queue, r.id .. r.ticket)
    else call('ZADD', root .. 'early:' .. r.queue, r.priority, earlyMember(r)) end
    hint(WORK)
  end
end

-- Drops a job whose place could not be read from a line that is ordered by it; returns whether it
-- stood there.
local function stepOutById(line, id)
  for _, member in ipairs(call('ZRANGE', line, 0, MOST - 1)) do
    if sub(member, 29, 28 + IDLENGTH) == id then return call('ZREM', line, member) == 1 end
  end
  return false
end

-- Takes a waiting job out of its line. Its record must be saved afterwards, or removed.
local function stepOut(r, state)
  if state == SCHEDULED then call('ZREM', root .. 'scheduled', scheduledMember(r))
  elseif state == READY then
    local early, lost = root .. 'early:' .. r.queue, root .. 'lost:' .. r.queue
    if has(r, 's') then
      if call('ZREM', lost, lostMember(r)) == 0 then stepOutById(lost, r.id) end
    elseif call('ZREM', early, earlyMember(r)) == 0 and not (has(r, 'u') and stepOutById(early, r.id)) then
      call('SADD', root .. 'ghosts:' .. r.queue, r.id .. r.ticket)
    end
  end
  r.ticket = ''
end

-- Where an unfinished or finished job is.
local function stateOf(r)
  if r.state then return r.state end
  if call('HEXISTS', root .. 'running', r.id) == 1 then return RUNNING end
  if has(r, 'n') then return BLOCKED end
  if call('ZSCORE', root .. 'scheduled', scheduledMember(r)) then return SCHEDULED end
  return READY
end

local function boundOf(r)
  if r.startBy and r.deadlineAt then return min(r.startBy, r.deadlineAt) end
  return r.startBy or r.deadlineAt
end
local function bind(r)
  local bound = boundOf(r)
  if bound then call('ZADD', root .. 'bounds', bound, scheduledMember(r)) end
end
local function unbind(r)
  if boundOf(r) or has(r, 'u') then call('ZREM', root .. 'bounds', scheduledMember(r)) end
end

local PROMOTED = 500
-- Makes scheduled jobs ready that are due, and returns how long until the next one; nil when there
-- is none.
local function promote()
  local due = call('ZRANGE', root .. 'scheduled', '-inf', now, 'BYSCORE', 'LIMIT', 0, PROMOTED)
  for _, member in ipairs(due) do
    local r = load(sub(member, 13))
    if r then
      lineUp(r, READY)
      save(r)
      moved(r.queue, SCHEDULED, READY)
      rekey(r, READY)
    end
  end
  if #due > 0 then call('ZREM', root .. 'scheduled', unpack(due)) end
  local first = call('ZRANGE', root .. 'scheduled', 0, 0, 'WITHSCORES')
  if #first == 0 or tonumber(first[2]) > LAST then return nil end
  return max(0, tonumber(first[2]) - now)
end
`

/** How scripts put waiting jobs under leases of the worker that calls. */
export const leasingLua: string = String.raw`
local worker, leaseMs

-- Leases one job out of wherever it waits: a suspect as started, an overdue one as not. Returns its
-- lease.
local function leaseWaiting(r, state, flags, startedAt)
  stepOut(r, state)
  unbind(r)
  save(r)
  local lease = {
    token = newToken(), untilAt = now + leaseMs, startedAt = startedAt, flags = flags,
    worker = worker, reason = '',
  }
  writeLease(r.id, lease)
  moved(r.queue, state, RUNNING)
  rekey(r, RUNNING)
  return leaseText(lease)
end
`

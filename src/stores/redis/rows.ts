/**
 * A job as it lies in Redis: one string at `j:<packed id>`, so that no hash grows with the number
 * of jobs and a claim reads what it hands out without looking into it.
 *
 *     [F ending \n] K head \n fixed \n texts
 *
 * - `K` is `P` for a plain job, `X` for one with a unique key, a bound on its waiting or needs with outputs, about
 *   which claims must do more, and `W` for a plain one that others wait for, about which
 *   settlements must do more.
 * - `head` is what changes, written by scripts; `fixed` what was inserted, written by the client
 *   (`job-fields.ts`); `ending` how the job ended, put before what was there. All are fields
 *   between tabs, the first two without the empty ones at the end; a field may leave out what
 *   another says already. Texts in fields are escaped, and those that may be null begin with `=`.
 * - `texts` are those of the fields, then the output, with their lengths in UTF-16 units in the
 *   fields.
 *
 * The state of an unfinished job is where it is: under `running`, in `scheduled`, marked as
 * blocked, else ready. The client reads records in `row-readers.ts`.
 */
import { longestMs } from '../../core/duration.ts'
import { mostHeadStartMs } from '../../core/job.ts'
import { lastTime } from '../unreadable.ts'
import { fieldAt, fieldCount } from './job-fields.ts'

/** Reading and writing records in scripts. */
export const rowsLua: string = String.raw`
-- Marks of a head: s suspect, a has attempts, p has progress, l has log lines, r has records of its
-- runs, n has needs that are not met, k wants to know how needs end, w others wait or waited for it, u not all of it could be read.
local function keyOf(id) return root .. 'j:' .. id end

-- What stands in a record may have been written by something else. No script fails because of that:
-- what cannot be read is replaced, and the job marked, so that whoever gets it knows.
local LAST, LONGEST = ${lastTime}, ${longestMs}
local broken

local function timeIn(field, otherwise)
  if field == '' then return otherwise end
  local time = tonumber(field)
  if time and time >= -LAST and time <= LAST then return time end
  broken = true
  return otherwise
end

local function countersIn(field)
  if field == '' or find(field, '^%d+$') or find(field, '^%d+,%d+,%d+,%d+,%d+,%d+$') then return field end
  broken = true
  return ''
end

local function numberIn(field, most)
  local number = tonumber(field)
  if number and number >= -most and number <= most then return number end
  broken = broken or field ~= ''
  return 0
end

-- Of durations it is enough that they are cut to what a time can be moved by.
local function spanIn(field)
  local ms = tonumber(field)
  return ms and ms == ms and max(0, min(ms, LONGEST)) or nil
end

local function parse(id, record)
  local line = sub(record, 1, 1) == 'F' and match(record, '^F([^\n]*)\n')
  local ending = line and fieldsOf(line)
  if ending then record = sub(record, #line + 3) end
  local a = find(record, '\n', 1, true)
  local b = a and find(record, '\n', a + 1, true)
  broken = not b
  -- What is no record at all is kept as the text of a job without a name.
  if not b then record, a, b = 'P\n\n' .. record, 2, 3 end
  local h = fieldsOf(sub(record, 2, a - 1))
  local f = fieldsOf(sub(record, a + 1, b - 1))
  for n = #h + 1, 12 do h[n] = '' end
  for n = #f + 1, ${fieldCount} do f[n] = '' end
  local created = timeIn(h[3] == '' and '?' or h[3], 0)
  local due = timeIn(h[4], created)
  local r = {
    id = id, ticket = h[1], seq = tonumber(h[2]) or tonumber(h[1]) or 0, created = created, due = due, place = timeIn(h[5], due),
    marks = h[6], startBy = timeIn(h[7]), deadlineAt = timeIn(h[8]), keyUntil = timeIn(h[9], 0), counters = countersIn(h[10]),
    settled = h[11], worker = h[12],
    task = f[${fieldAt.task}], queue = f[${fieldAt.queue}], priority = numberIn(f[${fieldAt.priority}], 1000),
    keepCancelled = text(spanIn(f[${fieldAt.keepCancelled}])), parent = f[${fieldAt.parent}], group = f[${fieldAt.group}],
    key = f[${fieldAt.key}] ~= '' and sub(f[${fieldAt.key}], 2) or nil, during = numberIn(f[${fieldAt.during}], 255),
    headStart = numberIn(f[${fieldAt.headStart}], ${mostHeadStartMs}),
    startWithin = spanIn(f[${fieldAt.startWithin}]), deadline = spanIn(f[${fieldAt.deadline}]),
    fixed = sub(record, a + 1, b), texts = sub(record, b + 1),
  }
  if ending then
    for n = #ending + 1, 10 do ending[n] = '' end
    r.ticket, r.finishedAt, r.startedAt, r.worker = ending[1], timeIn(ending[2], now), text(timeIn(ending[3])), ending[4]
    r.state, r.keep, r.reason, r.counters = tonumber(ending[5]) or FAILED, text(spanIn(ending[6])), ending[7], countersIn(ending[8])
    r.settled, r.outputLength = ending[9], ending[10]
  end
  if broken and not find(r.marks, 'u', 1, true) then r.marks = r.marks .. 'u' end
  return r
end

local function load(id)
  local record = call('GET', keyOf(id))
  if not record then return nil end
  return parse(id, record)
end

local function has(r, mark) return find(r.marks, mark, 1, true) ~= nil end

local function recordOf(r)
  local seq = text(r.seq)
  local head = {
    r.ticket, r.ticket == seq and '' or seq, text(r.created), r.due == r.created and '' or text(r.due),
    r.place == r.due and '' or text(r.place), r.marks, text(r.startBy), text(r.deadlineAt),
    r.keyUntil > 0 and text(r.keyUntil) or '', r.counters, r.settled, r.worker,
  }
  local ending = ''
  if r.state then
    ending = 'F' .. concat({
      r.ticket, text(r.finishedAt), r.startedAt, r.worker, r.state, r.keep, r.reason, r.counters, r.settled, r.outputLength,
    }, '\t') .. '\n'
    head[1], head[2], head[10], head[11], head[12] = '', seq, '', '', ''
  end
  local n = 12
  while n > 3 and head[n] == '' do n = n - 1 end
  local isWaitedFor = find(r.marks, 'w', 1, true)
  local kind = (r.key or r.startBy or r.deadlineAt or has(r, 'k')) and 'X' or isWaitedFor and 'W' or 'P'
  return ending .. kind .. concat(head, '\t', 1, n) .. '\n' .. r.fixed .. r.texts
end

-- Cuts the output off the texts of a job that is to run again. Its length is told in units of the
-- client, then in bytes if they differ.
local function dropOutput(r)
  local bytes = tonumber(match(r.outputLength, '(%d+)$')) or 0
  r.texts = sub(r.texts, 1, #r.texts - bytes)
end

-- Reads the lines of a record; long texts are left where they are.
local function glance(id)
  local start = call('GETRANGE', keyOf(id), 0, 511)
  if start == '' then return nil end
  local lines = sub(start, 1, 1) == 'F' and '\n.-\n.-\n' or '\n.-\n'
  if not find(start, lines) then return load(id) end
  return parse(id, start)
end

-- What was glanced at, until it is written.
local glanced = {}
local function glanceOnce(id)
  glanced[id] = glanced[id] or glance(id)
  return glanced[id]
end

local function save(r)
  glanced[r.id] = nil
  call('SET', keyOf(r.id), recordOf(r))
end
local function mark(r, one) if not has(r, one) then r.marks = r.marks .. one end end
local function unmark(r, one) r.marks = string.gsub(r.marks, one, '') end

-- Names a place in a list: of a job that claims may hand out unseen, or with 'x' of one with a key,
-- bounds, marks, a group or a size that counts.
local function ticketOf(r, number)
  local isOdd = r.key or r.startBy or r.deadlineAt or r.marks ~= '' or r.group ~= '' or #r.texts > SMALL
  return (isOdd and 'x' or 't') .. text(number)
end
local function newTicket(r) return ticketOf(r, call('HINCRBY', root .. 'meta', 'ticket', 1)) end

-- The jobs of a group, by insertion.
local function groupKey(r) return root .. 'g:' .. sub(r.group, 2) end
local function joinGroup(r)
  if r.group ~= '' then call('ZADD', groupKey(r), r.seq, r.id) end
end
local function leaveGroup(r)
  if r.group == '' then return end
  call('ZREM', groupKey(r), r.id)
  if call('EXISTS', groupKey(r)) == 0 then call('UNLINK', root .. 'o:' .. sub(r.group, 2)) end
end

-- Leases lie in the hash 'running': token, leaseUntil, startedAt, flags, worker, reason of a
-- cancel, queue of quick ones. Flags: c cancel asked, o leased as overdue, b inserted as running; q
-- quick: the job has neither key, bounds, marks nor a group; g as quick, with marks or a group.
-- When they end is told by 'leases'; of those with flag s, by 'claims', for a whole claim together:
-- 'claim:<token>' has its ids, 'claimed' how many of them have that flag at most.
local function leaseIn(lease)
  local f = fieldsOf(lease)
  return {
    token = f[1], untilAt = tonumber(f[2]), startedAt = f[3], flags = f[4], worker = f[5], reason = f[6], queue = f[7] or '',
  }
end

local function leaseOf(id)
  local lease = call('HGET', root .. 'running', id)
  return lease and leaseIn(lease) or nil
end

local function leaseText(lease)
  return concat({ lease.token, text(lease.untilAt), lease.startedAt, lease.flags, lease.worker, lease.reason, lease.queue or '' }, '\t')
end

local function dropClaim(token)
  call('UNLINK', root .. 'claim:' .. token)
  call('HDEL', root .. 'claimed', token)
  call('ZREM', root .. 'claims', token)
end

-- Takes a lease out of those that end with their claim.
local function leaveClaim(lease)
  if not find(lease.flags, 's', 1, true) then return end
  lease.flags = string.gsub(lease.flags, 's', '')
  if call('HINCRBY', root .. 'claimed', lease.token, -1) <= 0 then dropClaim(lease.token) end
end

local function writeLease(id, lease)
  leaveClaim(lease)
  call('HSET', root .. 'running', id, leaseText(lease))
  call('ZADD', root .. 'leases', lease.untilAt, id)
end

local function dropLease(id, lease)
  leaveClaim(lease)
  call('HDEL', root .. 'running', id)
  call('ZREM', root .. 'leases', id)
end
`

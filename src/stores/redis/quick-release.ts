/**
 * What the quick script of settlements does for jobs that others need: four parts of its code. It
 * takes the completed ones whose dependants lie here, and makes those ready that need nothing
 * more, if these are plain, due, and come last in their lines. All else is left to `release`.
 */
import { fieldAt } from './job-fields.ts'

/** How many are told in one call. */
const mostTold = 1_000

/** What is gathered about those who wait, before anything is written. */
export const quickWaitersLua: string = String.raw`
local budget, waiters, waiting, lasts = ${mostTold}, {}, {}, {}
local needed, dependants, told, freed = {}, {}, {}, {}
`

/**
 * For the job n of the call: leaves in 'waits' who waits for it, or nil when its end means more than
 * is done here. One who waits is read once for the whole call: how many needs it has left, the group
 * for which it wants to know ends, whether it may be made ready here.
 */
export const quickWaitsLua: string = String.raw`
  if kind == 87 and state == '4' and keep ~= '0' then
    waits = call('ZRANGE', root .. 'd:' .. id, 0, budget)
    if #waits > budget then waits = nil end
    for k = 1, waits and #waits or 0 do
      local who = waits[k]
      local one = waiting[who]
      if not one then
        one = { id = who, left = call('HLEN', root .. 'n:' .. who), needs = {} }
        waiting[who], waiters[#waiters + 1] = one, one
        local start = #who == IDLENGTH and call('GETRANGE', root .. 'j:' .. who, 0, 511) or ''
        local head, fields = match(start, '^([PWX][^\n]*)\n([^\n]*)\n')
        local h, f = {}, {}
        for field in gmatch((head or '') .. '\t', '([^\t]*)\t') do h[#h + 1] = field end
        for field in gmatch((fields or '') .. '\t', '([^\t]*)\t') do f[#f + 1] = field end
        local marks, queue, group = h[6] or '', f[${fieldAt.queue}], f[${fieldAt.group}] or ''
        local due = tonumber(h[4] ~= '' and h[4] or h[3])
        one.isRead, one.seq, one.queue = find(marks, 'n', 1, true) ~= nil, tonumber(h[2]), queue
        one.group = find(marks, 'k', 1, true) and group ~= '' and sub(group, 2) or nil
        one.isPlain = one.seq and byte(head) ~= 88 and not find(marks, '[su]') and due and due <= now
          and (f[${fieldAt.priority}] or '') == '' and (f[${fieldAt.headStart}] or '') == ''
        if one.isPlain and not lasts[queue] then
          local entry, place, seq = call('LINDEX', root .. 'line:' .. queue, -1), -1, 0
          if entry then
            local record = call('GETRANGE', root .. 'j:' .. sub(entry, 1, IDLENGTH), 0, 255)
            local t, s, c, d, p = match(record, '^%u([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t?([^\t\n]*)\t?([^\t\n]*)')
            local isOwn = t == sub(entry, IDLENGTH + 1)
            place = isOwn and tonumber(p ~= '' and p or d ~= '' and d or c)
            seq = isOwn and (tonumber(s) or tonumber(t)) or 0
          end
          lasts[queue] = { place = place or now + 1, seq = seq }
        end
        local last = lasts[queue]
        one.isPlain = one.isPlain and (now > last.place or (now == last.place and one.seq > last.seq))
      end
      if not one.isRead or (one.left == 1 and not one.isPlain) then
        waits = nil
        break
      end
    end
    for k = 1, waits and #waits or 0 do
      local one = waiting[waits[k]]
      one.left = one.left - 1
      one.needs[#one.needs + 1] = id
      if one.left == 0 then freed[#freed + 1] = one end
      if one.group and not told[id] then
        local codec = match(record, '^[^\n]*\n[^\t\n]*\t[^\t\n]*\t[^\t\n]*\t[^\t\n]*\t([^\t\n]*)') or ''
        told[id] = state .. codec .. '\t' .. (output == 'y' and '=' .. result or '')
      end
    end
    if waits and #waits > 0 then
      budget = budget - #waits
      needed[#needed + 1], dependants[#dependants + 1] = id, root .. 'd:' .. id
    end
  end
`

/** Leaves the whole call to the full script where one who waits for a job does not need it any more. */
export const quickCheckLua: string = String.raw`
for _, one in ipairs(waiters) do
  if #one.needs > 0 then
    for _, how in ipairs(call('HMGET', root .. 'n:' .. one.id, unpack(one.needs))) do
      if not how then return false end
    end
  end
end
`

/** Tells them. */
export const quickReleaseLua: string = String.raw`
if #needed > 0 then
  local ends, isKept = {}, {}
  call('DEL', unpack(dependants))
  call('SREM', root .. 'needed', unpack(needed))
  for _, one in ipairs(waiters) do
    if #one.needs > 0 then call('HDEL', root .. 'n:' .. one.id, unpack(one.needs)) end
    if #one.needs > 0 and one.group then
      local list = ends[one.group] or {}
      ends[one.group] = list
      for k, wants in ipairs(call('HMGET', root .. 'k:' .. one.id, unpack(one.needs))) do
        local need = one.needs[k]
        if wants and isKept[need] ~= one.group then
          isKept[need], list[#list + 1], list[#list + 2] = one.group, need, told[need]
        end
      end
    end
  end
  for group, list in pairs(ends) do
    if #list > 0 then call('HSET', root .. 'o:' .. group, unpack(list)) end
  end
end
if #freed > 0 then
  sort(freed, function(a, b) return a.seq < b.seq end)
  local keys, ready, lined = {}, {}, {}
  for k, one in ipairs(freed) do keys[k] = root .. 'j:' .. one.id end
  local found = call('MGET', unpack(keys))
  local first = call('HINCRBY', root .. 'meta', 'ticket', #freed) - #freed
  for k, one in ipairs(freed) do
    local letter, head, others = match(found[k], '^(%u)([^\n]*)(\n.*)$')
    local h = {}
    for field in gmatch(head .. '\t', '([^\t]*)\t') do h[#h + 1] = field end
    for n = #h + 1, 6 do h[n] = '' end
    local due, isGrouped = h[4] ~= '' and h[4] or h[3], find(others, '^\n' .. string.rep('[^\t\n]*\t', ${fieldAt.group - 1}) .. '=')
    h[6] = string.gsub(h[6], 'n', '')
    local isOdd = h[6] ~= '' or isGrouped or #others > SMALL
    h[1] = (isOdd and 'x' or 't') .. format('%d', first + k)
    h[5] = tonumber(due) == now and '' or format('%.0f', now)
    local n = #h
    while n > 3 and h[n] == '' do n = n - 1 end
    ready[2 * k - 1], ready[2 * k] = keys[k], letter .. concat(h, '\t', 1, n) .. others
    local entries = lined[one.queue] or {}
    lined[one.queue] = entries
    entries[#entries + 1] = one.id .. h[1]
  end
  call('MSET', unpack(ready))
  for queue, entries in pairs(lined) do
    call('RPUSH', root .. 'line:' .. queue, unpack(entries))
    if call('HINCRBY', root .. 'tally', '0:' .. queue, -#entries) == 0 then call('HDEL', root .. 'tally', '0:' .. queue) end
    if call('HINCRBY', root .. 'tally', '2:' .. queue, #entries) == #entries then call('ZADD', root .. 'busy', 0, queue) end
  end
end
`

/**
 * Unique keys: `u:<key>` names the job that holds it, whether the job's state is listed in its
 * rule, and until when the key is held in any case. A key that is neither is left over and free;
 * `untils` finds those that are held by time alone.
 */

export const uniquesLua: string = String.raw`
local function listed(during, state) return floor(during / 2 ^ state) % 2 == 1 end

local function readKey(key)
  local held = call('GET', root .. 'u:' .. key)
  if not held then return nil end
  local id, isListed, untilAt = match(held, '^([^\t]*)\t([^\t]*)\t([^\t]*)$')
  return id, isListed == '1', tonumber(untilAt)
end

-- The id of the job that holds a key; nil when it is free.
local function holderOf(key)
  local id, isListed, untilAt = readKey(key)
  if id and (isListed or untilAt > now) then return id end
  return nil
end

local function writeKey(r, isListed)
  call('SET', root .. 'u:' .. r.key, r.id .. '\t' .. (isListed and '1' or '0') .. '\t' .. text(r.keyUntil))
  if not isListed then call('ZADD', root .. 'untils', r.keyUntil, r.key) end
end

-- Takes or releases a job's key, as the state asks for that it has now.
local function rekey(r, state)
  if not r.key then return end
  local id, isListed, untilAt = readKey(r.key)
  local mine = id == r.id
  local lists = listed(r.during, state)
  if lists or now < r.keyUntil then
    if not id or mine or not (isListed or untilAt > now) then writeKey(r, lists) end
  elseif mine then
    call('DEL', root .. 'u:' .. r.key)
  end
end

-- Drops the key of a job that is removed, but for keepKey while the key's own time runs.
local function dropKey(r, keepKey)
  if not r.key or readKey(r.key) ~= r.id then return end
  if keepKey and r.keyUntil > now then writeKey(r, false) else call('DEL', root .. 'u:' .. r.key) end
end
`

/** Named locks, in the first partition. */
import type { HoldAnswer, Holding, HoldRequest, LockOwner } from '../../store/locks.ts'
import type { Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

/** A lock is a hash, which stays while the lock is free: its token, and who holds it until when. */
const HOLD = scriptOf(
  'hold',
  [],
  `
-- ARGV[4...]: name, holder, token or '', milliseconds, host, pid
local name, holder, wanted, ttl, host, pid = nextArg(), nextArg(), nextArg(), tonumber(nextArg()), nextArg(), nextArg()
local key = root .. 'lock:' .. name
local row = call('HMGET', key, 'token', 'holder', 'until', 'host', 'pid', 'since')
local isLive = (tonumber(row[3]) or 0) > now
local isOwn = row[2] == holder
if wanted == '' then isOwn = isOwn and isLive else isOwn = isOwn and row[1] == wanted end
if isOwn then
  call('HSET', key, 'until', text(now + ttl))
  return { row[1] }
end
if isLive then return { '', row[4], row[5], row[6], row[1], text(tonumber(row[3]) - now) } end
if wanted ~= '' then return { '' } end
-- Also greater than tokens that a fail-over has lost.
local fresh = text(max((tonumber(row[1]) or 0) + 1, micros))
call('HSET', key, 'token', fresh, 'holder', holder, 'until', text(now + ttl), 'host', host, 'pid', pid, 'since', text(now))
return { fresh }
`,
)

const RELEASE = scriptOf(
  'release',
  [],
  `
-- ARGV[4...]: name, holder, token
local key = root .. 'lock:' .. nextArg()
local row = call('HMGET', key, 'holder', 'token')
if row[1] ~= nextArg() or row[2] ~= nextArg() then return 0 end
call('HSET', key, 'holder', '', 'until', '0')
return 1
`,
)

const OWNER = scriptOf(
  'lock owner',
  [],
  `
-- ARGV[4]: name
local row = call('HMGET', root .. 'lock:' .. nextArg(), 'until', 'host', 'pid', 'since', 'token')
if (tonumber(row[1]) or 0) <= now then return {} end
return { row[2], row[3], row[4], row[5] }
`,
)

export async function hold(partition: Partition, request: HoldRequest): Promise<HoldAnswer> {
  const { name, holder, token, ttlMs, host, pid } = request
  const wanted = token === null ? '' : String(token)
  const args = [name, holder, wanted, String(ttlMs), host, String(pid)]
  const [held = '', ...rest] = (await partition.run(HOLD, args)) as readonly string[]
  if (held !== '') return { status: 'held', token: Number(held), validMs: ttlMs }
  return { status: 'taken', owner: ownerOf(rest), freeInMs: Number(rest[4] ?? 0) }
}

export async function release(
  partition: Partition,
  { name, holder, token }: Holding,
): Promise<'released' | 'stale'> {
  const released = await partition.run(RELEASE, [name, holder, String(token)])
  return released === 1 ? 'released' : 'stale'
}

export async function lockOwner(partition: Partition, name: string): Promise<LockOwner | null> {
  return ownerOf((await partition.run(OWNER, [name])) as readonly string[])
}

function ownerOf([host, pid, since, token]: readonly string[]): LockOwner | null {
  if (host === undefined) return null
  return { host, pid: Number(pid), since: Number(since), token: Number(token) }
}

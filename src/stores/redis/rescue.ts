/** Handing out jobs that were lost or waited too long. */
import { handedBytes } from '../../core/job.ts'
import type { Claimed, RescueRequest } from '../../store/worker-calls.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { escape, nullable, whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { unpackId } from './ids.ts'
import { leasingLua } from './leasing.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { readClaimed } from './rows.ts'
import { scriptOf } from './script.ts'

const EXPIRED = scriptOf(
  'expired',
  [...jobsLua, leasingLua],
  String.raw`
-- ARGV[4...8]: worker, lease in ms, most jobs, leases and bounds to pass over
-- ARGV[9...]: known tasks
worker, leaseMs = nextArg(), tonumber(nextArg())
local limit, pastLeases, pastBounds = min(MOST, tonumber(nextArg())), tonumber(nextArg()), tonumber(nextArg())
local tasks = {}
while at < #ARGV do tasks[nextArg()] = true end
local answers, size = {}, 0
local function hand(r, startedAt, flags)
  answers[#answers + 1] = { r.id, recordOf(r), startedAt, flags }
  size = size + #r.texts
end
local function isEnough() return #answers >= limit or size >= HANDED end

-- Of a claim whose end has come each lease ends by itself from now on: one claim a call, the first one first.
local claimed = call('ZRANGE', root .. 'claims', '-inf', now, 'BYSCORE', 'LIMIT', 0, 1)[1]
if claimed then
  local ids, packed = {}, call('GET', root .. 'claim:' .. claimed)
  for n = 1, #packed, IDLENGTH do ids[#ids + 1] = sub(packed, n, n + IDLENGTH - 1) end
  for n, held in ipairs(call('HMGET', root .. 'running', unpack(ids))) do
    local lease = held and leaseIn(held)
    if lease and lease.token == claimed then writeLease(ids[n], lease) end
  end
  dropClaim(claimed)
  return { 0, now, '0', {}, { pastLeases, pastBounds } }
end

-- A window of those that are due; answers how many of them were not for the caller, and whether there are more.
local function window(name, past)
  local due = call('ZRANGE', root .. name, '-inf', now, 'BYSCORE', 'LIMIT', past, MOST)
  return due, #due == MOST
end

local leases, moreLeases = window('leases', pastLeases)
local passedLeases = 0
for _, id in ipairs(leases) do
  if isEnough() then break end
  local r = load(id)
  if r and tasks[r.task] then
    local lease = leaseOf(id)
    lease.token, lease.worker, lease.untilAt = newToken(), worker, now + leaseMs
    lease.flags = string.gsub(lease.flags, 'b', '')
    writeLease(id, lease)
    rekey(r, RUNNING)
    hand(r, lease.startedAt, lease.flags)
  else passedLeases = passedLeases + 1 end
end

local bounds, moreBounds = window('bounds', pastBounds)
local passedBounds = 0
for _, member in ipairs(bounds) do
  if isEnough() then break end
  local r = load(sub(member, 13))
  if r and tasks[r.task] then
    leaseWaiting(r, stateOf(r), 'o', '')
    hand(r, '', 'o')
  else passedBounds = passedBounds + 1 end
end
-- What is due at a time that cannot be read.
for _, member in ipairs(call('ZRANGE', root .. 'scheduled', '(' .. text(LAST), '+inf', 'BYSCORE', 'LIMIT', 0, MOST)) do
  if isEnough() then break end
  local r = load(sub(member, 13))
  if r and tasks[r.task] then
    leaseWaiting(r, SCHEDULED, 'o', '')
    hand(r, '', 'o')
  end
end
local more = not isEnough() and (moreLeases or moreBounds)
local hinted = close()
return {
  hinted, now, token or '0', answers,
  more and { pastLeases + (moreLeases and passedLeases or 0), pastBounds + (moreBounds and passedBounds or 0) } or false,
  size >= HANDED and 1 or 0,
}
`,
)

type ExpiredReply = readonly [
  hinted: number,
  now: number,
  token: string,
  jobs: readonly (readonly [id: string, record: string, startedAt: string, flags: string])[],
  next: readonly [leases: number, bounds: number] | null,
  /** Not there where a claim was only taken apart. */
  cut?: number,
]

/** Leases to the caller what other workers lost, oldest lease first, then what waited too long. */
export async function rescue(
  partition: Partition,
  request: RescueRequest,
): Promise<Answered<Claimed>> {
  const jobs: ClaimedJob[] = []
  let hints = 0
  let past: readonly [number, number] | null = [0, 0]
  for (;;) {
    const reply = (await partition.run(EXPIRED, [
      nullable(request.worker),
      whole(request.leaseMs),
      String(request.limit - jobs.length),
      ...past.map(String),
      ...request.tasks.map(escape),
    ])) as ExpiredReply
    const [hinted, now, token, found, next, enough] = reply
    hints |= hinted
    for (const [id, record, startedAt, flags] of found) {
      jobs.push(
        readClaimed(unpackId(id), record, {
          token: Number(token),
          why: flags.includes('o') ? 'overdue' : 'lost',
          startedAt: startedAt === '' ? null : Number(startedAt),
          cancelAsked: flags.includes('c'),
        }),
      )
    }
    past = next
    const cut = enough === 1 || sizeOf(jobs) >= handedBytes
    if (past === null || cut || jobs.length >= request.limit)
      return { hinted: hints, answer: { now, jobs, cut } }
  }
}

/** The bytes of their inputs. */
export function sizeOf(jobs: readonly ClaimedJob[]): number {
  return jobs.reduce((bytes, { input }) => bytes + Buffer.byteLength(input), 0)
}

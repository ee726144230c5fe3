/** Handing out jobs that were lost or waited too long. */
import { handedBytes } from '../../core/job.ts'
import type { Claimed, RescueRequest } from '../../store/worker-calls.ts'
import type { ClaimedJob } from '../../store/job.ts'
import { escape, nullable, whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { unpackId } from './ids.ts'
import { leasingLua } from './lines.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { readClaimed, readLease } from './row-readers.ts'
import { scriptOf } from './script.ts'

const RESCUE = scriptOf(
  'rescue',
  [...jobsLua, leasingLua],
  String.raw`
-- ARGV[4...8]: worker, lease in ms, most jobs, leases and bounds to pass over
-- ARGV[9...]: known tasks
worker, leaseMs = nextArg(), tonumber(nextArg())
local limit, pastLeases, pastBounds = min(MOST, tonumber(nextArg())), tonumber(nextArg()), tonumber(nextArg())
local tasks = {}
while at < #ARGV do tasks[nextArg()] = true end
local answers, size = {}, 0
local function hand(r, lease, lost)
  answers[#answers + 1] = { r.id, recordOf(r), lease, lost or '' }
  size = size + #r.texts
end
local function isEnough() return #answers >= limit or size >= HANDED end

-- Of a claim whose end has come each lease ends by itself from now on: one claim a call, the first
-- one first.
local claimed = call('ZRANGE', root .. 'claims', '-inf', now, 'BYSCORE', 'LIMIT', 0, 1)[1]
if claimed then
  local ids, packed = {}, call('GET', root .. 'claim:' .. claimed)
  for n = 1, #packed, IDLENGTH do ids[#ids + 1] = sub(packed, n, n + IDLENGTH - 1) end
  for n, held in ipairs(call('HMGET', root .. 'running', unpack(ids))) do
    local lease = held and leaseIn(held)
    if lease and lease.token == claimed then writeLease(ids[n], lease) end
  end
  dropClaim(claimed)
  return { 0, now, {}, { pastLeases, pastBounds } }
end

-- A window of those that are due; returns how many of them were not for the caller, and whether
-- there are more.
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
    local lost = call('HGET', root .. 'running', id)
    local lease = leaseIn(lost)
    lease.token, lease.worker, lease.untilAt = newToken(), worker, now + leaseMs
    lease.flags = string.gsub(lease.flags, 'b', '')
    writeLease(id, lease)
    rekey(r, RUNNING)
    hand(r, leaseText(lease), lost)
  else passedLeases = passedLeases + 1 end
end

local bounds, moreBounds = window('bounds', pastBounds)
local passedBounds = 0
for _, member in ipairs(bounds) do
  if isEnough() then break end
  local r = load(sub(member, 13))
  if r and tasks[r.task] then
    hand(r, leaseWaiting(r, stateOf(r), 'o', ''))
  else passedBounds = passedBounds + 1 end
end
-- What is due at a time that cannot be read.
for _, member in ipairs(call('ZRANGE', root .. 'scheduled', '(' .. text(LAST), '+inf', 'BYSCORE', 'LIMIT', 0, MOST)) do
  if isEnough() then break end
  local r = load(sub(member, 13))
  if r and tasks[r.task] then
    hand(r, leaseWaiting(r, SCHEDULED, 'o', ''))
  end
end
local more = not isEnough() and (moreLeases or moreBounds)
local hinted = close()
return {
  hinted, now, answers,
  more and { pastLeases + (moreLeases and passedLeases or 0), pastBounds + (moreBounds and passedBounds or 0) } or false,
  size >= HANDED and 1 or 0,
}
`,
)

type RescueReply = readonly [
  hinted: number,
  now: number,
  /** With the lease that each has now, and the one that was lost, or ''. */
  jobs: readonly (readonly [id: string, record: string, lease: string, lost: string])[],
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
    const reply = (await partition.run(RESCUE, [
      nullable(request.worker),
      whole(request.leaseMs),
      String(request.limit - jobs.length),
      ...past.map(String),
      ...request.tasks.map(escape),
    ])) as RescueReply
    const [hinted, now, found, next, enough] = reply
    hints |= hinted
    for (const [id, record, lease, lost] of found)
      jobs.push(readClaimed(unpackId(id), record, readLease(lease), whyOf(lost)))
    past = next
    const cut = enough === 1 || sizeOf(jobs) >= handedBytes
    if (past === null || cut || jobs.length >= request.limit)
      return { hinted: hints, answer: { now, jobs, cut } }
  }
}

/**
 * Why a job is handed out, by the lease that it had before: one that was leased as overdue already
 * is so still.
 */
function whyOf(before: string): Pick<ClaimedJob, 'why' | 'lostBy'> {
  if (before === '') return { why: 'overdue', lostBy: null }
  const { token, worker, isOverdue } = readLease(before)
  if (isOverdue) return { why: 'overdue', lostBy: null }
  return { why: 'lost', lostBy: { worker: worker ?? '', token } }
}

/** The bytes of their inputs. */
export function sizeOf(jobs: readonly ClaimedJob[]): number {
  return jobs.reduce((bytes, { input }) => bytes + Buffer.byteLength(input), 0)
}

/** What people do to jobs: cancel, retry, remove, take. */
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../store/operators.ts'
import type { StoredJob } from '../../store/job.ts'
import { nullable } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { packId } from './ids.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { readStored, type Shown } from './row-readers.ts'
import { scriptOf } from './script.ts'
import { showLua } from './readers.ts'

const CANCEL = scriptOf(
  'cancel',
  jobsLua,
  String.raw`
-- ARGV[4]: reason; then ids
local reason = nextArg()
local answers = {}
while at < #ARGV do
  local id = nextArg()
  local r = load(id)
  local state = r and stateOf(r)
  if not r then answers[#answers + 1] = 'm'
  elseif state > RUNNING then answers[#answers + 1] = 'f'
  elseif state == RUNNING then
    local lease = leaseOf(id)
    if not find(lease.flags, 'c', 1, true) then
      lease.flags, lease.reason = lease.flags .. 'c', reason
      call('HSET', root .. 'running', id, leaseText(lease))
      hint(CANCEL)
    end
    answers[#answers + 1] = 'a'
  else
    endWaiting(r, state, CANCELLED, reason)
    releaseAndErase(r, true)
    answers[#answers + 1] = 'c'
  end
end
return { close(), concat(answers) }
`,
)

const RETRY = scriptOf(
  'retry',
  jobsLua,
  String.raw`
-- ARGV[4...]: ids
local answers = {}
-- Lets the job wait for those of its needs that have not ended; of other partitions for all of them,
-- which say so if they have.
local function waitAgain(r)
  if not has(r, 'k') then return false end
  local wants, waits = call('HGETALL', root .. 'k:' .. r.id), false
  for n = 1, #wants, 2 do
    local need, how = wants[n], sub(wants[n + 1], 1, -3)
    local partition = match(how, '%d+$')
    if partition or needState(need, r.id) == 'open' then
      waits = true
      call('HSET', root .. 'n:' .. r.id, need, how)
      if partition then post(partition, { 'wait', r.id, need, ARGV[3], 'k' })
      else addDependant(need, r) end
    else keepEnd(r, need, endOf(need)) end
  end
  if waits then mark(r, 'n') end
  return waits
end
local function lineUpAgain(r, from)
  local to = waitAgain(r) and BLOCKED or READY
  lineUp(r, to)
  save(r)
  bind(r)
  moved(r.queue, from, to)
  rekey(r, to)
end
local retried = {}
local function retry(id)
  local r = load(id)
  if not r then return 'm' end
  if not r.state or r.state == COMPLETED then return 'u' end
  if r.key and listed(r.during, READY) then
    local holder = holderOf(r.key)
    if holder and holder ~= id then return 'd' end
  end
  local from = r.state
  call('ZREM', root .. 'others', id)
  if has(r, 'p') then call('DEL', root .. 'p:' .. id) end
  r.marks = string.gsub(r.marks, '[spnu]', '')
  dropOutput(r)
  r.state, r.counters = nil, ''
  r.due, r.place = now, now - r.headStart
  r.startBy = r.startWithin and now + r.startWithin or nil
  r.deadlineAt = r.deadline and now + r.deadline or nil
  save(r)
  -- What it needs may be retried by the same call; the next may want its key.
  if r.key then lineUpAgain(r, from) else retried[#retried + 1] = { r, from } end
  return 'r'
end
while at < #ARGV do answers[#answers + 1] = retry(nextArg()) end
for _, one in ipairs(retried) do lineUpAgain(one[1], one[2]) end
return { close(), concat(answers) }
`,
)

const REMOVE = scriptOf(
  'remove',
  jobsLua,
  String.raw`
-- ARGV[4...]: ids
local answers = {}
while at < #ARGV do
  local id = nextArg()
  local r = load(id)
  local state = r and stateOf(r)
  if not r then answers[#answers + 1] = 'm'
  elseif state == RUNNING then answers[#answers + 1] = 'u'
  else
    if state < RUNNING then
      stepOut(r, state)
      unbind(r)
    end
    erase(r, state, false)
    release(id, false)
    answers[#answers + 1] = 'r'
  end
end
return { close(), concat(answers) }
`,
)

const TAKE = scriptOf(
  'take',
  [...jobsLua, showLua],
  String.raw`
-- ARGV[4...]: ids
local answers = {}
while at < #ARGV do
  local id = nextArg()
  local record = call('GET', keyOf(id))
  if record then
    local shown, r, state = show(id, record)
    if state > RUNNING then erase(r, state, true) end
    answers[#answers + 1] = shown
  else answers[#answers + 1] = false end
end
close()
return answers
`,
)

type Letters = readonly [hinted: number, letters: string]

/** Cancels jobs of a partition; `missing` are those that it does not know. */
export async function cancel(
  partition: Partition,
  ids: readonly string[],
  reason: string | null,
): Promise<Answered<CancelAnswer[]>> {
  const args = [nullable(reason), ...ids.map(packId)]
  const [hinted, letters] = (await partition.run(CANCEL, args)) as Letters
  const answers = { m: 'missing', f: 'final', a: 'asked', c: 'cancelled' } as const
  return { hinted, answer: read(letters, answers) }
}

export async function retry(
  partition: Partition,
  ids: readonly string[],
): Promise<Answered<RetryAnswer[]>> {
  const [hinted, letters] = (await partition.run(RETRY, ids.map(packId))) as Letters
  const answers = { m: 'missing', u: 'unfit', d: 'duplicate', r: 'retried' } as const
  return { hinted, answer: read(letters, answers) }
}

export async function remove(
  partition: Partition,
  ids: readonly string[],
): Promise<Answered<RemoveAnswer[]>> {
  const [hinted, letters] = (await partition.run(REMOVE, ids.map(packId))) as Letters
  return { hinted, answer: read(letters, { m: 'missing', u: 'running', r: 'removed' } as const) }
}

export async function take(
  partition: Partition,
  ids: readonly string[],
): Promise<(StoredJob | null)[]> {
  const shown = (await partition.run(TAKE, ids.map(packId))) as (Shown | null)[]
  return shown.map((one) => (one === null ? null : readStored(one)))
}

function read<T extends string>(letters: string, meaning: Readonly<Record<string, T>>): T[] {
  return letters.split('').map((letter) => meaning[letter] as T)
}

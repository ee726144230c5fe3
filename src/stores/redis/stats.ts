/** For how long the ready jobs of queues have been due. */
import { escape, readNumber } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import type { Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

/**
 * Looks at the first ten jobs of a queue's line, of its suspects, and of each priority apart from
 * the line, and no further: they stand in the order in which they came due, but for those that were
 * put back with their place and a later time.
 */
const OLDEST = scriptOf(
  'oldest',
  jobsLua,
  String.raw`
-- ARGV[4...]: queues. Returns the times of the first of them, as many as one script may look at,
-- and of one at least.
local HEADS, SCORES = 10, 20
local LINE = 10 * HEADS
local oldest
local looked = 0

local function weigh(id, ticket)
  looked = looked + 1
  local r = glance(id)
  -- What a job left behind in the line has another ticket.
  if not r or (ticket and r.ticket ~= ticket) then return false end
  if not oldest or r.due < oldest then oldest = r.due end
  return true
end

-- The first of each score in a sorted set.
local function weighHeads(name)
  local from = '-inf'
  for n = 1, SCORES do
    local first = call('ZRANGE', root .. name, from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if not first[1] then return end
    local score = first[2]
    local heads = call('ZRANGE', root .. name, score, score, 'BYSCORE', 'LIMIT', 0, HEADS)
    for _, member in ipairs(heads) do
      weigh(sub(member, 29, 28 + IDLENGTH))
    end
    from = '(' .. score
  end
end

local function weighLine(queue)
  local found = 0
  for from = 0, LINE - HEADS, HEADS do
    local entries = call('LRANGE', root .. 'line:' .. queue, from, from + HEADS - 1)
    for _, entry in ipairs(entries) do
      if weigh(sub(entry, 1, IDLENGTH), sub(entry, IDLENGTH + 1)) then found = found + 1 end
    end
    if found > 0 or #entries < HEADS then return end
  end
end

local answers = {}
while at < #ARGV and looked + LINE + 2 * SCORES * HEADS <= MOST do
  local queue = nextArg()
  oldest = nil
  weighLine(queue)
  weighHeads('early:' .. queue)
  weighHeads('lost:' .. queue)
  answers[#answers + 1] = text(oldest)
end
return answers
`,
)

/**
 * When the ready job of each queue was due that has been due for longest; null for a queue without
 * ready jobs.
 */
export async function oldestReady(
  partition: Partition,
  queues: readonly string[],
): Promise<(number | null)[]> {
  const all: (number | null)[] = []
  while (all.length < queues.length) {
    const some = queues.slice(all.length, all.length + mostQueues).map(escape)
    const times = (await partition.run(OLDEST, some)) as string[]
    all.push(...times.map((time) => readNumber(time)))
  }
  return all
}

/** How many queues one script is asked about at most. */
const mostQueues = 100

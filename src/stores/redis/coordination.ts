/** What workers and operators share beside jobs: queues, workers, tasks. */
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import type { Tended } from '../../store/worker-calls.ts'
import { escape, unescape } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { retentionLua } from './retention.ts'
import { scriptOf } from './script.ts'

const TEND = scriptOf(
  'tend',
  [...jobsLua, retentionLua],
  String.raw`
-- ARGV[4...5]: id of the worker, its record, or '' for a look without a heartbeat
-- ARGV[6...]: its queues; '*' for all
local id, record = nextArg(), nextArg()
local serves, servesAll = {}, false
while at < #ARGV do
  local queue = nextArg()
  serves[queue] = true
  if queue == '*' then servesAll = true end
end
local nextDue = promote()
if record ~= '' then
  call('HSET', root .. 'workers', id, record)
  call('ZADD', root .. 'seen', now, id)
end
local pruneDue = needsPrune()
local todo = call('EXISTS', root .. 'todo', root .. 'outs') > 0
local hinted = close()
local paused, isPaused = call('SMEMBERS', root .. 'paused'), {}
for _, queue in ipairs(paused) do isPaused[queue] = true end
local ready = false
for _, queue in ipairs(call('ZRANGE', root .. 'busy', 0, MOST - 1)) do
  if not isPaused[queue] and (servesAll or serves[queue]) then
    ready = true
    break
  end
end
local function due(name) return #call('ZRANGE', root .. name, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1) > 0 end
local isNever = #call('ZRANGE', root .. 'scheduled', '(' .. text(LAST), '+inf', 'BYSCORE', 'LIMIT', 0, 1) > 0
local sweepDue = due('leases') or due('claims') or due('bounds') or isNever
return {
  hinted, now, nextDue or -1, ready and 1 or 0, sweepDue and 1 or 0, pruneDue and 1 or 0, paused,
  todo and 1 or 0,
}
`,
)

type TendReply = readonly [
  hinted: number,
  now: number,
  nextDueMs: number,
  ready: number,
  sweepDue: number,
  pruneDue: number,
  paused: readonly string[],
  todo: number,
]

const PAUSE = scriptOf(
  'pause',
  [],
  `
-- ARGV[4]: '1' to pause, '' to resume; then queues
local paused = nextArg() == '1'
while at < #ARGV do
  call(paused and 'SADD' or 'SREM', root .. 'paused', nextArg())
end
`,
)

const PAUSED = scriptOf('paused', [], `return call('SMEMBERS', root .. 'paused')`)

const WORKERS = scriptOf(
  'workers',
  [],
  `return { call('HVALS', root .. 'workers'), call('HKEYS', root .. 'workers'), call('ZRANGE', root .. 'seen', 0, -1, 'WITHSCORES') }`,
)

const REGISTER = scriptOf(
  'register',
  [],
  `
-- ARGV[4...]: names and records
while at < #ARGV do call('HSET', root .. 'tasks', nextArg(), nextArg()) end
`,
  'is-refused',
)

const TASKS = scriptOf('tasks', [], `return call('HVALS', root .. 'tasks')`)

/**
 * Writes a worker's heartbeat, unless `heartbeat` is false, and says what there is to do in a
 * partition.
 */
export async function tend(
  partition: Partition,
  worker: WorkerRecord,
  heartbeat: boolean,
): Promise<Answered<Tended & { readonly todo: boolean }>> {
  const record = heartbeat ? JSON.stringify(worker) : ''
  const reply = await partition.run(TEND, [worker.id, record, ...worker.queues.map(escape)])
  const [hinted, now, nextDueMs, ready, sweepDue, pruneDue, paused, todo] = reply as TendReply
  return {
    hinted,
    answer: {
      now,
      nextDueMs: nextDueMs < 0 ? null : nextDueMs,
      ready: ready === 1,
      sweepDue: sweepDue === 1,
      pruneDue: pruneDue === 1,
      paused: paused.map(unescape).sort(),
      todo: todo === 1,
    },
  }
}

export async function setPaused(
  partition: Partition,
  queues: readonly string[],
  paused: boolean,
): Promise<void> {
  await partition.run(PAUSE, [paused ? '1' : '', ...queues.map(escape)])
}

export async function pausedOf(partition: Partition): Promise<readonly string[]> {
  return ((await partition.run(PAUSED)) as string[]).map(unescape)
}

export async function workerList(partition: Partition): Promise<WorkerRecord[]> {
  const [records, ids, seen] = (await partition.run(WORKERS)) as [string[], string[], string[]]
  const seenAt = new Map<string, number>()
  for (let n = 0; n < seen.length; n += 2) seenAt.set(seen[n] ?? '', Number(seen[n + 1]))
  return records.map((record, n) => ({
    ...(JSON.parse(record) as WorkerRecord),
    lastSeenAt: seenAt.get(ids[n] ?? '') ?? 0,
  }))
}

export async function registerTasks(
  partition: Partition,
  tasks: readonly RegisteredTask[],
): Promise<void> {
  await partition.run(
    REGISTER,
    tasks.flatMap((task) => [task.name, JSON.stringify(task)]),
  )
}

export async function taskList(partition: Partition): Promise<RegisteredTask[]> {
  const records = (await partition.run(TASKS)) as string[]
  return records
    .map((record) => JSON.parse(record) as RegisteredTask)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

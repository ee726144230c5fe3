/**
 * New work: `insert`.
 *
 * A call whose connection broke is sent again, perhaps when its jobs have long ended and are
 * forgotten. So each call has a name, and `c:<name>` keeps for a while how it came out.
 */
import { randomBytes } from 'node:crypto'
import type { Advance, InsertAnswer, Inserted } from '../../store/intake.ts'
import { textArg } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import type { Announcement } from './hints.ts'
import { unpackId } from './ids.ts'
import { intakeLua } from './intake.ts'
import { isPlain, type Packed } from './new-job-encoding.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { recordsLua } from './records.ts'
import { pairOf } from './script.ts'

/** Longer than any call waits for its answer, in ms. */
const madeMs = 60_000

const INSERT = pairOf(
  'insert',
  String.raw`
-- ARGV[4...7]: how many jobs, a channel and a message to tell others of them, or '', name of the
-- call; then three texts for each job, all of them plain
local count, made = tonumber(ARGV[4]), root .. 'c:' .. ARGV[7]
local byQueue, order, met, groups, queues = {}, {}, {}, {}, {}
for n = 8, 7 + 3 * count, 3 do
  local queue = ARGV[n + 1]
  local tab = find(queue, '\t', 1, true)
  if tab then
    -- The group comes as the field that it is.
    groups[n] = sub(queue, tab + 2)
    queue = sub(queue, 1, tab - 1)
  end
  queues[n] = queue
  if met[ARGV[n]] or #ARGV[n + 2] > SMALL then return false end
  met[ARGV[n]] = true
  if not byQueue[queue] then
    byQueue[queue] = { n = 0 }
    order[#order + 1] = queue
  end
end
if call('EXISTS', root .. 'meta') == 0 then return false end
if count == 0 then return { 0 } end
if not call('SET', made, '', 'PX', ${madeMs}, 'NX') then return false end
local seq = call('HINCRBY', root .. 'meta', 'seq', count) - count + 1
local records, ids, members, created = {}, {}, {}, format('%.0f', now) .. '\n'
for n = 1, count do
  local id, ticket, group = ARGV[5 + 3 * n], format('%d', seq + n - 1), groups[5 + 3 * n]
  local head = ticket .. '\t\t'
  if group then
    members[group] = members[group] or {}
    local list = members[group]
    list[#list + 1], list[#list + 2] = seq + n - 1, id
    -- Claims ask about those of a group, which they know by the letter.
    head = 'x' .. ticket .. '\t' .. ticket .. '\t'
    ticket = 'x' .. ticket
  end
  records[2 * n - 1], records[2 * n] = root .. 'j:' .. id, 'P' .. head .. created .. ARGV[7 + 3 * n]
  ids[n] = id
  local entries = byQueue[queues[5 + 3 * n]]
  entries.n = entries.n + 1
  entries[entries.n] = id .. ticket
end
local isNew = call('MSETNX', unpack(records)) == 1
local n = 1
while n <= count do
  local chunk = floor((seq + n - 1) / CHUNK)
  local last = min(count, (chunk + 1) * CHUNK - seq)
  local field = format('%.0f', chunk)
  if isNew then
    if call('RPUSH', root .. 'log:' .. field, unpack(ids, n, last)) == last - n + 1 then call('ZADD', root .. 'chunks', chunk, field) end
  elseif call('HINCRBY', root .. 'gone', field, last - n + 1) >= CHUNK then
    call('HDEL', root .. 'gone', field)
    call('ZREM', root .. 'chunks', field)
    call('UNLINK', root .. 'log:' .. field)
  end
  n = last + 1
end
-- Some are known: the ranks are left unused.
if not isNew then
  call('DEL', made)
  return false
end
for group, list in pairs(members) do call('ZADD', root .. 'g:' .. group, unpack(list)) end
for _, queue in ipairs(order) do
  local entries = byQueue[queue]
  call('RPUSH', root .. 'line:' .. queue, unpack(entries))
  if call('HINCRBY', root .. 'tally', '2:' .. queue, #entries) == #entries then
    call('ZADD', root .. 'busy', 0, queue)
  end
end
if ARGV[5] ~= '' then call('PUBLISH', ARGV[5], ARGV[6]) end
return { 1 }
`,
  [...jobsLua, intakeLua, recordsLua],
  String.raw`
-- ARGV[4...7]: as above; then three texts for each job; then how many advances, and for each of
-- them a key, what the record must hold, what it holds then, and the places of its jobs in the
-- call. A text that may be null has a '=' before it.
local count, channel, message = tonumber(nextArg()), nextArg(), nextArg()
local made = root .. 'c:' .. nextArg()
local before = call('GET', made)
if before then return { 0, before ~= '' and fieldsOf(before) or false } end
local jobs, isLate = nextJobs(count), {}
for _ = 1, tonumber(nextArg()) do
  local key, from, to, places = nextArg(), textIn(nextArg()), textIn(nextArg()), nextArg()
  if not moveRecord(key, from, to) then
    for place in gmatch(places, '%d+') do isLate[tonumber(place)] = true end
  end
end
local answers, meant, places = {}, {}, {}
for n = 1, count do
  -- Those that are known already are repeats.
  if isLate[n] and call('EXISTS', keyOf(jobs[n][1])) == 0 then answers[n] = 's'
  else meant[#meant + 1], places[#places + 1] = jobs[n], n end
end
for n, answer in ipairs(insertAll(meant)) do answers[places[n]] = answer end
local told = ''
for _, answer in ipairs(answers) do
  if answer ~= 'c' then
    told = concat(answers, '\t')
    break
  end
end
if count > 0 then call('SET', made, told, 'PX', ${madeMs}) end
local hinted = close()
if channel ~= '' then call('PUBLISH', channel, message) end
return { hinted, told ~= '' and answers or false }
`,
  'is-refused',
)

/** An advance of jobs in the same call. */
export interface PlacedAdvance {
  readonly advance: Advance
  /** Where its jobs are in the call. */
  readonly places: readonly number[]
}

/** Adds jobs to a partition, where the records of advances lie that carry them. */
export async function insert(
  partition: Partition,
  jobs: readonly Packed[],
  announcement: Announcement,
  advances: readonly PlacedAdvance[] = [],
): Promise<Answered<InsertAnswer[]>> {
  const args: string[] = [String(jobs.length), ...announcement, newName()]
  for (const job of jobs) args.push(job.id, job.spec, job.body)
  const isQuick = advances.length === 0 && jobs.every(isPlain)
  const all = (): string[] => [...args, ...argumentsOf(advances)]
  const [hinted, answers] = (await partition.runPair(INSERT, isQuick ? args : null, all)) as [
    number,
    (readonly string[] | null)?,
  ]
  return {
    hinted,
    answer: jobs.map(({ job }, n) => readAnswer(job.id, answers?.[n] ?? 'c')),
  }
}

function argumentsOf(advances: readonly PlacedAdvance[]): string[] {
  const args = [String(advances.length)]
  for (const { advance, places } of advances) {
    const { key, from, to } = advance
    args.push(key, textArg(from), textArg(to), places.map((place) => place + 1).join(','))
  }
  return args
}

const ofThisProcess = randomBytes(6).toString('base64url')
let calls = 0

/** A name that no other call has. */
function newName(): string {
  calls += 1
  return ofThisProcess + calls.toString(36)
}

function readAnswer(id: string, answer: string): InsertAnswer {
  return answer === 's' ? { id, status: 'stale', token: null } : readInserted(id, answer)
}

/** Reads how a script says that an insert came out. */
export function readInserted(id: string, answer: string): Inserted {
  const letter = answer[0]
  if (letter === 'c') return { id, status: 'created', token: null }
  if (letter === 'l') return { id, status: 'created', token: Number(answer.slice(1)) }
  const status = letter === 'd' ? 'duplicate' : 'replaced'
  return { id: unpackId(answer, 1), status, token: null }
}

/**
 * A job as it lies in Redis: one string at `j:<packed id>`, so that no hash grows with the number of jobs and a claim reads what it
 * hands out without looking into it.
 *
 *     [F ending \n] K head \n fixed \n texts
 *
 * - `K` is `P` for a plain job, `X` for one with a unique key or a bound on its waiting, about which claims must do more.
 * - `head` is what changes, written by scripts; `fixed` what was inserted, written by the client; `ending` how the job ended, put
 *   before what was there. All are fields between tabs, the first two without the empty ones at the end; a field may leave out
 *   what another tells already. Texts in fields are escaped, and those that may be null begin with `=`.
 * - `texts` are options, input and output one after the other, with their lengths in UTF-16 units in the fields.
 *
 * The state of an unfinished job is where it is: under `running`, in `scheduled`, marked as blocked, else ready.
 */
import { longestMs } from '../../core/duration.ts'
import type { ClaimedJob, StoredJob } from '../../store/job.ts'
import { readCounters, readNullable, readNumber, unescape } from './encoding.ts'
import { unpackId } from './ids.ts'
import { handedOut, lastTime, shown } from '../unreadable.ts'
import { stateOf } from './states.ts'

/** Reading and writing records in scripts. */
export const rowsLua: string = String.raw`
-- Marks of a head: s suspect, e has errors, p has progress, l has log lines, n has needs that are not met, u not all of it could be read.
local function keyOf(id) return root .. 'j:' .. id end

-- What stands in a record may have been written by something else. No script fails because of that: what cannot be read is replaced, and
-- the job marked, so that whoever gets it knows.
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
  for n = #f + 1, 11 do f[n] = '' end
  local created = timeIn(h[3] == '' and '?' or h[3], 0)
  local due = timeIn(h[4], created)
  local r = {
    id = id, ticket = h[1], seq = tonumber(h[2]) or tonumber(h[1]) or 0, created = created, due = due, place = timeIn(h[5], due),
    marks = h[6], startBy = timeIn(h[7]), deadlineAt = timeIn(h[8]), keyUntil = timeIn(h[9], 0), counters = countersIn(h[10]),
    settled = h[11], worker = h[12],
    task = f[1], queue = f[2], priority = numberIn(f[3], 1000), keepCancelled = text(spanIn(f[4])), parent = f[7],
    key = f[8] ~= '' and sub(f[8], 2) or nil, during = numberIn(f[9], 255), startWithin = spanIn(f[10]),
    deadline = spanIn(f[11]), fixed = sub(record, a + 1, b), texts = sub(record, b + 1),
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
  local kind = (r.key or r.startBy or r.deadlineAt) and 'X' or 'P'
  return ending .. kind .. concat(head, '\t', 1, n) .. '\n' .. r.fixed .. r.texts
end

-- Cuts the output off the texts of a job that is to run again. Its length is told in units of the client, then in bytes if they differ.
local function dropOutput(r)
  local bytes = tonumber(match(r.outputLength, '(%d+)$')) or 0
  r.texts = sub(r.texts, 1, #r.texts - bytes)
end

local function save(r) call('SET', keyOf(r.id), recordOf(r)) end
local function has(r, mark) return find(r.marks, mark, 1, true) ~= nil end
local function mark(r, one) if not has(r, one) then r.marks = r.marks .. one end end
local function unmark(r, one) r.marks = string.gsub(r.marks, one, '') end

-- Names a place in a list: of a job that claims may hand out unseen, or with 'x' of one with a key, bounds, marks or a size that counts.
local function newTicket(r)
  local letter = (r.key or r.startBy or r.deadlineAt or r.marks ~= '' or #r.texts > SMALL) and 'x' or 't'
  return letter .. call('HINCRBY', root .. 'meta', 'ticket', 1)
end

-- Leases lie in the hash 'running': token, leaseUntil, startedAt, flags, worker, reason of a cancel, queue of quick ones.
-- Flags: c cancel asked, o leased as overdue, b inserted as running; q quick: the job has neither key, bounds nor marks.
-- When they end is told by 'leases'; of those with flag s, by 'claims', for a whole claim together: 'claim:<token>' has its ids,
-- 'claimed' how many of them have that flag at most.
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

/** What a line of fixed fields says. */
interface Fixed {
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly codec: string | null
  /** Length of the options, −1 without any. */
  readonly optionsLength: number
  readonly parent: string | null
  readonly uniqueKey: string | null
}

const lines = new Map<string, Fixed>()
const mostLines = 1_000

/** Reads a line of fixed fields. The same few occur again and again, so they are kept. */
function readFixed(line: string): Fixed {
  let fixed = lines.get(line)
  if (fixed === undefined) {
    const [task = '', queue = '', priority, , codec, optionsLength, parent, key] = line.split('\t')
    fixed = {
      task: unescape(task),
      queue: unescape(queue),
      priority: readNumber(priority) ?? 0,
      codec: readNullable(codec),
      optionsLength: readNumber(optionsLength) ?? -1,
      parent: readParent(parent),
      uniqueKey: readNullable(key),
    }
    if (lines.size >= mostLines) lines.clear()
    lines.set(line, fixed)
  }
  return fixed
}

function readParent(field: string | undefined): string | null {
  return field === undefined || field === '' || field.startsWith('=')
    ? readNullable(field)
    : unpackId(field)
}

/** A record taken apart. */
interface Opened {
  readonly head: readonly string[]
  readonly ending: readonly string[] | null
  readonly fixed: Fixed
  readonly options: string | null
  readonly input: string
  readonly output: string | null
}

const OUTPUT_LENGTH = 9

/** The fields of a head. That of a job that was never touched has three, of which only the last is of use here. */
function headOf(record: string, start: number, end: number): readonly string[] {
  const tab = record.indexOf('\t', start)
  if (record[tab + 1] === '\t' && record.indexOf('\t', tab + 2) > end)
    return ['', '', record.slice(tab + 2, end)]
  return record.slice(start + 1, end).split('\t')
}

function open(record: string): Opened {
  const start = record.startsWith('F') ? record.indexOf('\n') + 1 : 0
  const ending = start === 0 ? null : record.slice(1, start - 1).split('\t')
  const a = record.indexOf('\n', start)
  const b = a < 0 ? -1 : record.indexOf('\n', a + 1)
  // No record at all: scripts keep it as the text of a job without a name.
  if (b < 0) return open(`P\n\n${record.slice(start)}`)
  const fixed = readFixed(record.slice(a + 1, b))
  const inputAt = b + 1 + Math.max(0, fixed.optionsLength)
  const outputLength = readNumber(ending?.[OUTPUT_LENGTH]?.split(',')[0])
  const outputAt = outputLength === null ? record.length : record.length - outputLength
  return {
    head: headOf(record, start, a),
    ending,
    fixed,
    options: fixed.optionsLength < 0 ? null : record.slice(b + 1, inputAt),
    input: record.slice(inputAt, outputAt),
    output: outputLength === null ? null : record.slice(outputAt),
  }
}

/** What a lease adds to a record that is handed out. */
export interface Handed {
  readonly token: number
  readonly why: ClaimedJob['why']
  readonly startedAt: number | null
  readonly cancelAsked: boolean
}

/** Reads a record as a job that is handed out. */
export function readClaimed(id: string, record: string, handed: Handed): ClaimedJob {
  const { head, fixed, options, input } = open(record)
  const createdAt = readTime(head[2])
  return handedOut({
    id,
    token: handed.token,
    task: fixed.task,
    queue: fixed.queue,
    priority: fixed.priority,
    input,
    codec: fixed.codec,
    options,
    parent: fixed.parent,
    uniqueKey: fixed.uniqueKey,
    createdAt,
    dueAt: readNumber(head[3]) ?? createdAt,
    startBy: readNumber(head[6]),
    deadlineAt: readNumber(head[7]),
    counters: readCounters(head[9]),
    startedAt: handed.startedAt,
    cancelAsked: handed.cancelAsked,
    why: head[5]?.includes('u') === true ? 'unreadable' : handed.why,
  })
}

/** A time that every record has. */
function readTime(field: string | undefined): number {
  return readNumber(field) ?? NaN
}

/** A job as scripts show it: record, state, lease or '', progress or '', errors. */
export type Shown = readonly [
  id: string,
  record: string,
  state: number,
  lease: string,
  progress: string,
  errors: readonly string[],
]

/** Reads what a script shows of a job. */
export function readStored([id, record, state, lease, progress, errors]: Shown): StoredJob {
  const { head, ending, fixed, options, input, output } = open(record)
  const [token, leaseUntil, startedAt, flags, worker] = lease === '' ? [] : lease.split('\t')
  const createdAt = readTime(head[2])
  const finishedAt = readNumber(ending?.[1])
  const keepMs = readNumber(ending?.[5])
  return shown({
    id: unpackId(id),
    task: fixed.task,
    queue: fixed.queue,
    state: stateOf(state),
    priority: fixed.priority,
    input,
    codec: fixed.codec,
    options,
    parent: fixed.parent,
    uniqueKey: fixed.uniqueKey,
    createdAt,
    dueAt: readNumber(head[3]) ?? createdAt,
    startBy: readNumber(head[6]),
    deadlineAt: readNumber(head[7]),
    counters: readCounters(ending === null ? head[9] : ending[7]),
    token: readNumber(token ?? ending?.[8] ?? head[10]) ?? 0,
    worker: readNullable(worker ?? ending?.[3] ?? head[11]),
    leaseUntil: readNumber(leaseUntil),
    startedAt: readNumber(startedAt ?? ending?.[2]),
    finishedAt,
    expiresAt: finishedAt === null || keepMs === null ? null : finishedAt + keepMs,
    cancelAsked: flags?.includes('c') ?? false,
    progress: progress === '' ? null : progress.slice(1),
    attempts: [...errors],
    output,
    reason: readNullable(ending?.[6]),
  })
}

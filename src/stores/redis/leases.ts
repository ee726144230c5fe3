/** What a worker says about jobs while they run: `renew` and `note`. */
import { keptLogLines } from '../../core/job.ts'
import type { LeaseRef, Note, NoteAnswer, RenewAnswer } from '../../store/worker-calls.ts'
import { whole } from './encoding.ts'
import { jobsLua } from './fragments.ts'
import { packId } from './ids.ts'
import type { Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

const RENEW = scriptOf(
  'renew',
  jobsLua,
  String.raw`
-- ARGV[4]: ms from now; then an id and a token for each lease
local untilAt = now + tonumber(nextArg())
local answers = {}
while at < #ARGV do
  local id, token = nextArg(), nextArg()
  local lease = leaseOf(id)
  if not lease or lease.token ~= token then answers[#answers + 1] = 'x'
  else
    lease.untilAt = untilAt
    writeLease(id, lease)
    answers[#answers + 1] = find(lease.flags, 'c', 1, true) and 'c' or 'r'
  end
end
return concat(answers)
`,
)

/**
 * What a job leaves beside its record. A mark in the record says so, and its lease is no quick one
 * any more, so that it goes with it.
 */
export const tracesLua: string = String.raw`
local function traced(id, letter)
  local r = load(id)
  if r and not has(r, letter) then
    mark(r, letter)
    save(r)
  end
end
local function slowly(id, lease)
  if not find(lease.flags, 'q', 1, true) then return end
  lease.flags, lease.queue = string.gsub(lease.flags, 'q', ''), ''
  call('HSET', root .. 'running', id, leaseText(lease))
end
`

const NOTE = scriptOf(
  'note',
  [...jobsLua, tracesLua],
  String.raw`
-- ARGV[4...]: for each note id, token, kind ('s' start, 'p' progress, 'l' log), ms ago, text
local answers = {}
while at < #ARGV do
  local id, token, kind, ago, value = nextArg(), nextArg(), nextArg(), nextArg(), nextArg()
  local lease = leaseOf(id)
  if not lease or lease.token ~= token then answers[#answers + 1] = 'x'
  else
    if kind == 's' then
      if lease.startedAt == '' then
        lease.startedAt = text(now - tonumber(ago))
        call('HSET', root .. 'running', id, leaseText(lease))
      end
    elseif kind == 'p' then
      call('SET', root .. 'p:' .. id, value)
      traced(id, 'p')
      slowly(id, lease)
    else
      local lines = root .. 'l:' .. id
      if call('LLEN', lines) < ${keptLogLines} then call('RPUSH', lines, text(now - tonumber(ago)) .. '\t' .. value) end
      traced(id, 'l')
      slowly(id, lease)
    end
    answers[#answers + 1] = 'n'
  end
end
return concat(answers)
`,
)

/** Extends leases. One that expired is still its holder's until another took it. */
export async function renew(
  partition: Partition,
  leases: readonly LeaseRef[],
  leaseMs: number,
): Promise<RenewAnswer[]> {
  const args = [whole(leaseMs)]
  for (const { id, token } of leases) args.push(packId(id), String(token))
  const letters = (await partition.run(RENEW, args)) as string
  return leases.map((_, n) =>
    letters[n] === 'r' ? 'renewed' : letters[n] === 'c' ? 'cancel-asked' : 'stale',
  )
}

export async function note(partition: Partition, notes: readonly Note[]): Promise<NoteAnswer[]> {
  const args = notes.flatMap((one) => [packId(one.id), String(one.token), ...argumentsOf(one)])
  const letters = (await partition.run(NOTE, args)) as string
  return notes.map((_, n) => (letters[n] === 'n' ? 'noted' : 'stale'))
}

function argumentsOf(one: Note): [kind: string, agoMs: string, text: string] {
  switch (one.kind) {
    case 'start':
      return ['s', whole(one.agoMs), '']
    case 'progress':
      return ['p', '', one.value]
    case 'log':
      return ['l', whole(one.agoMs), `${one.level}\t${one.text}`]
  }
}

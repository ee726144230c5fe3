/**
 * Carries messages between partitions, and goes on with needs that one call could not settle all:
 * see `outboxLua` and `release`.
 */
import { jobsLua } from '../fragments.ts'
import { intakeLua } from '../intake.ts'
import { relayBits } from '../hints.ts'
import type { Partition } from './partition.ts'
import { scriptOf } from '../script.ts'
import type { Spread } from './place.ts'

/** What a partition has to tell others: for each of them some numbered messages. */
const OUTGOING = scriptOf(
  'outgoing',
  [],
  `
local batches = {}
for _, partition in ipairs(call('SMEMBERS', root .. 'outs')) do
  batches[#batches + 1] = { partition, call('LRANGE', root .. 'out:' .. partition, 0, 99) }
end
return batches
`,
)

const DELIVER = scriptOf(
  'deliver',
  [...jobsLua, intakeLua],
  String.raw`
-- ARGV[4]: the sender; then messages
local sender = nextArg()
local last = tonumber(call('HGET', root .. 'meta', 'got:' .. sender)) or 0
local function take(message)
  local kind, id = message[1], message[2]
  if kind == 'insert' then insertAll({ { id, message[3], message[4] } })
  elseif kind == 'wait' then
    -- A job of partition message[4] waits for one of this.
    local state = needState(message[3], '')
    if state == 'open' then
      awaitJob(message[3], now, id .. ':' .. message[4] .. (message[5] or ''))
    else
      local told = message[5] == 'k' and endOf(message[3]) or ''
      post(message[4], { 'need', id, message[3], state == 'met' and '1' or '0', told })
    end
  elseif kind == 'need' then
    local function ending() return message[5] ~= '' and message[5] or nil end
    local ended
    if message[4] == '1' then answerMet({ id }, message[3], ending)
    else ended = answerFailed(id, message[3], ending) end
    if ended then releaseAndErase(ended, true) end
  end
end
while at < #ARGV do
  local number, json = match(nextArg(), '^(%d+) (.*)$')
  if tonumber(number) > last then
    last = tonumber(number)
    take(cjson.decode(json))
  end
end
call('HSET', root .. 'meta', 'got:' .. sender, text(last))
return close()
`,
)

const SENT = scriptOf(
  'sent',
  [],
  String.raw`
-- ARGV[4...5]: the receiver, the number of the last message that it took
local receiver, last = nextArg(), tonumber(nextArg())
local list = root .. 'out:' .. receiver
for n = 1, MOST do
  local first = call('LINDEX', list, 0)
  if not first then break end
  if tonumber(match(first, '^%d+')) > last then return end
  call('LPOP', list)
end
if call('EXISTS', list) == 0 then call('SREM', root .. 'outs', receiver) end
`,
)

const RELEASE = scriptOf(
  'release',
  jobsLua,
  `
local one = call('LPOP', root .. 'todo')
if one then
  local id = sub(one, 1, IDLENGTH)
  release(id, sub(one, -1) == '1')
  if call('SISMEMBER', root .. 'needed', id) == 0 then call('UNLINK', root .. 'e:' .. id) end
end
if call('EXISTS', root .. 'todo') == 1 then hint(REST) end
return close()
`,
)

/** Rounds after which a relay leaves the rest to the next one. */
const mostRounds = 10_000

/**
 * Works until nothing is left to carry or to settle; returns what happened. `asked` are bits of
 * scripts that ran before.
 */
export async function relay(spread: Spread, asked: number): Promise<number> {
  let hinted = asked
  let left = asked & relayBits
  for (let round = 0; round < mostRounds && left !== 0; round += 1) {
    const bits = await Promise.all(spread.all.map((partition) => relayFrom(spread, partition)))
    left = bits.reduce((sum, one) => sum | one, 0)
    hinted |= left
    left &= relayBits
  }
  return hinted
}

async function relayFrom(spread: Spread, partition: Partition): Promise<number> {
  let bits = (await partition.run(RELEASE)) as number
  if (spread.isSingle) return bits
  const batches = (await partition.run(OUTGOING)) as [receiver: string, messages: string[]][]
  for (const [receiver, messages] of batches) {
    const last = messages.at(-1)
    if (last === undefined) continue
    const to = spread.at(Number(receiver))
    bits |= (await to.run(DELIVER, [String(partition.index), ...messages])) as number
    await partition.run(SENT, [receiver, last.slice(0, last.indexOf(' '))])
    // There may be more.
    bits |= 16
  }
  return bits
}

/**
 * Claims with an id, which may be repeated: `once:<id>` remembers what one got until its leases
 * end, as token, that end, packed ids.
 */
import type { Claimed, NextDue } from '../../store/worker-calls.ts'
import { readClaim, type ClaimReply } from './claim-reply.ts'
import { jobsLua } from './fragments.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

/**
 * How much longer than its leases a claim is remembered by the server's own clock: the store's may
 * stand still in tests.
 */
export const rememberedMs = 60_000

export const onceLua: string = String.raw`
-- What a claim got that is still under its lease; nil where none is remembered.
local function claimedBefore(id)
  local remembered = call('GET', root .. 'once:' .. id)
  local before = remembered and fieldsOf(remembered)
  if not before or tonumber(before[2]) <= now then return nil end
  local ids, keys, leases, all = {}, {}, {}, {}
  for n = 1, #before[3], IDLENGTH do all[#all + 1] = sub(before[3], n, n + IDLENGTH - 1) end
  for n, lease in ipairs(all[1] and call('HMGET', root .. 'running', unpack(all)) or {}) do
    if lease and leaseIn(lease).token == before[1] then
      ids[#ids + 1], keys[#keys + 1], leases[#leases + 1] = all[n], keyOf(all[n]), lease
    end
  end
  local records = keys[1] and call('MGET', unpack(keys)) or {}
  return { token = before[1], ids = concat(ids), records = records, leases = leases, needed = neededFor(ids, records) }
end

local function remember(id, token, ids)
  local got = concat({ token, text(now + leaseMs), concat(ids) }, '\t')
  call('SET', root .. 'once:' .. id, got, 'PX', leaseMs + ${rememberedMs})
end
`

const CLAIMED = scriptOf(
  'claimed',
  [...jobsLua, onceLua],
  `
-- ARGV[4]: id of a claim
local nextDue = promote()
local again = claimedBefore(nextArg())
if not again then return { close() } end
return { close(), now, nextDue or -1, again.token, '', again.ids, again.records, 0, again.leases, again.needed }
`,
)

/**
 * What a claim of this id got here that is still under its lease; null where none is remembered.
 */
export async function claimedBefore(
  partition: Partition,
  id: string,
): Promise<Answered<(Claimed & NextDue) | null>> {
  const reply = (await partition.run(CLAIMED, [id])) as ClaimReply | readonly [hinted: number]
  if (reply.length === 1) return { hinted: reply[0], answer: null }
  return readClaim(reply)
}

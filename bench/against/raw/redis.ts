/**
 * Redis without a framework: payloads in one hash, ids in a list, leases in a sorted set, by the same Lua cycles as in baseline.md, so
 * that the peers' shares of it can be held against those of then.
 */
import { Redis } from 'ioredis'
import { mail } from '../../kit/job.ts'
import { ticks } from '../../kit/ticks.ts'
import type { Figures } from '../../workload.ts'

/** Arguments: pairs of id and payload. */
const ENQUEUE = `
local ids = {}
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  ids[#ids + 1] = ARGV[i]
end
redis.call('RPUSH', KEYS[2], unpack(ids))
return #ids`
/** Arguments: how many, until when they are leased. Answers ids and payloads. */
const CLAIM = `
local ids = redis.call('LPOP', KEYS[2], ARGV[1])
if not ids then return { {}, {} } end
local leases = {}
for i = 1, #ids do
  leases[#leases + 1] = ARGV[2]
  leases[#leases + 1] = ids[i]
end
redis.call('ZADD', KEYS[3], unpack(leases))
return { ids, redis.call('HMGET', KEYS[1], unpack(ids)) }`
/** Arguments: ids. */
const COMPLETE = `
redis.call('ZREM', KEYS[3], unpack(ARGV))
return redis.call('HDEL', KEYS[1], unpack(ARGV))`
const keys = ['raw:payloads', 'raw:waiting', 'raw:leases'] as const
const claimed = 100
const leaseMs = 30_000

interface Scripted {
  enqueueRaw(...args: readonly string[]): Promise<number>
  claimRaw(...args: readonly string[]): Promise<readonly [readonly string[], readonly string[]]>
  completeRaw(...args: readonly string[]): Promise<number>
}

/** Jobs per second of claims of 100 and their completion, with so many cycles in flight on one connection. */
export async function drainRawRedis(url: string, jobs: number, flights: number): Promise<Figures> {
  return connected(url, async (client) => {
    for (let start = 0; start < jobs; start += 1_000)
      await client.enqueueRaw(...keys, ...pairs(start, 1_000))
    const since = ticks()
    const done = await together(flights, async () => {
      let finished = 0
      for (;;) {
        const until = String(Date.now() + leaseMs)
        const [ids, payloads] = await client.claimRaw(...keys, String(claimed), until)
        if (ids.length === 0) return finished
        for (const payload of payloads) JSON.parse(payload)
        finished += await client.completeRaw(...keys, ...ids)
      }
    })
    if (done !== jobs) throw new Error(`the raw engine drained ${done} jobs of ${jobs}`)
    return { rate: perSecond(jobs, since) }
  })
}

/** Jobs per second enqueued, so many in a call, with so many calls in flight on one connection. */
export async function insertRawRedis(
  url: string,
  jobs: number,
  batch: number,
  flights: number,
): Promise<Figures> {
  return connected(url, async (client) => {
    let next = 0
    const since = ticks()
    const done = await together(flights, async () => {
      let added = 0
      while (next < jobs) {
        const start = next
        next += batch
        added += await client.enqueueRaw(...keys, ...pairs(start, batch))
      }
      return added
    })
    return { rate: perSecond(done, since) }
  })
}

function pairs(start: number, batch: number): readonly string[] {
  return Array.from({ length: batch }, (_, i) => [
    `job-${start + i}`,
    JSON.stringify(mail(start + i)),
  ]).flat()
}

async function together(flights: number, fly: () => Promise<number>): Promise<number> {
  const parts = await Promise.all(Array.from({ length: flights }, fly))
  return parts.reduce((sum, part) => sum + part, 0)
}

async function connected(
  url: string,
  measure: (client: Scripted) => Promise<Figures>,
): Promise<Figures> {
  const client = new Redis(url)
  const numberOfKeys = keys.length
  client.defineCommand('enqueueRaw', { numberOfKeys, lua: ENQUEUE })
  client.defineCommand('claimRaw', { numberOfKeys, lua: CLAIM })
  client.defineCommand('completeRaw', { numberOfKeys, lua: COMPLETE })
  try {
    return await measure(client as unknown as Scripted)
  } finally {
    client.disconnect()
  }
}

function perSecond(jobs: number, since: number): number {
  return (jobs / (ticks() - since)) * 1_000
}

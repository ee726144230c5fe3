/** Durable records of runs: what an attempt leaves for later attempts of its job, with the jobs that it makes. */
import type { RunRecord } from '../../store/worker-calls.ts'
import { jobsLua } from './fragments.ts'
import { packId } from './ids.ts'
import { intakeLua } from './intake.ts'
import { tracesLua } from './leases.ts'
import type { Packed } from './new-job-encoding.ts'
import type { Answered, Partition } from './partitions/partition.ts'
import { scriptOf } from './script.ts'

/**
 * The records of a job's runs: `r:<id>`, a hash, and `rn:<id>`, a sorted set of their names in the
 * order of their bytes.
 */
const RECORD = scriptOf(
  'record',
  [...jobsLua, intakeLua, tracesLua],
  String.raw`
-- ARGV[4...]: for each record id, token, name, text and how many jobs it carries, then three texts
-- for each of them
local answers = {}
while at < #ARGV do
  local id, token, name, value = nextArg(), nextArg(), nextArg(), nextArg()
  local jobs = nextJobs(tonumber(nextArg()))
  local lease = leaseOf(id)
  if not lease or lease.token ~= token then answers[#answers + 1] = false
  else
    local isFirst = call('EXISTS', root .. 'r:' .. id) == 0
    local isNew = call('HSET', root .. 'r:' .. id, name, value) == 1
    if isNew then call('ZADD', root .. 'rn:' .. id, 0, name) end
    if isFirst then traced(id, 'r') end
    slowly(id, lease)
    answers[#answers + 1] = insertAll(jobs)
  end
end
return { close(), answers }
`,
)

/** A record with the jobs that it carries as they travel. */
export interface PackedRecord {
  readonly record: RunRecord
  readonly jobs: readonly Packed[]
}

/** What became of a record: null where it was stale, else how each of its jobs came out. */
export type Written = readonly string[] | null

/** Writes records of runs, which stay with their jobs. */
export async function record(
  partition: Partition,
  records: readonly PackedRecord[],
): Promise<Answered<Written[]>> {
  const args: string[] = []
  for (const { record: one, jobs } of records) {
    args.push(packId(one.id), String(one.token), one.name, one.text, String(jobs.length))
    for (const job of jobs) args.push(job.id, job.spec, job.body)
  }
  const [hinted, answer] = (await partition.run(RECORD, args)) as [number, Written[]]
  return { hinted, answer }
}

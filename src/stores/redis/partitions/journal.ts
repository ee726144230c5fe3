/** Records of runs over several partitions: each lies with its job, and so do the jobs that it carries. */
import { ErrandError } from '../../../core/errors.ts'
import type { Inserted } from '../../../store/intake.ts'
import type { RecordAnswer, RunRecord } from '../../../store/worker-calls.ts'
import { jobsLua } from '../fragments.ts'
import { escape } from '../encoding.ts'
import { packedLength, unpackId } from '../ids.ts'
import { readInserted } from '../insert.ts'
import { pack, type Packed } from '../new-job-encoding.ts'
import { record, type PackedRecord, type Written } from '../run-records.ts'
import { scriptOf } from '../script.ts'
import type { Answered, Partition } from './partition.ts'
import type { Spread } from './place.ts'
import { getSpread } from './read.ts'
import { relay } from './relay.ts'
import { packCarried } from './settle.ts'

/** How often a record is written while the key of a job that it carries comes and goes. */
const mostTries = 20

/**
 * Writes records. Unique jobs whose key belongs elsewhere go through the outbox, so that they are
 * inserted if and only if the record was written; what became of them is looked for after that.
 */
export async function recordSpread(
  spread: Spread,
  records: readonly RunRecord[],
  tries = 1,
): Promise<Answered<RecordAnswer[]>> {
  const packed = await packAll(spread, records)
  let hinted = 0
  const written = await spread.share(
    packed,
    ({ record: { token } }) => spread.ofToken(token),
    async (partition, share) => {
      const part = await record(partition, share)
      hinted |= part.hinted
      return part.answer
    },
  )
  const sent = packed.flatMap(({ jobs }) => jobs.filter(crosses))
  if (sent.length === 0)
    return { hinted, answer: packed.map((one, n) => answerOf(one, written[n])) }
  hinted = await relay(spread, hinted)
  const found = await lookFor(spread, sent)
  const answer: RecordAnswer[] = []
  for (const [n, one] of packed.entries()) {
    if (one.jobs.every((job) => !crosses(job) || found.has(job.job.id) || !written[n])) {
      answer.push(answerOf(one, written[n], found))
      continue
    }
    // Whose key it was ended just now: what is there now may be new.
    if (tries === mostTries)
      throw new ErrandError('store-busy', `A key that ${one.record.id} needs keeps moving.`)
    const again = await recordSpread(spread, [one.record], tries + 1)
    hinted |= again.hinted
    answer.push(...again.answer)
  }
  return { hinted, answer }
}

async function packAll(spread: Spread, records: readonly RunRecord[]): Promise<PackedRecord[]> {
  const carriers = records.map(({ id, token, jobs = [] }) => ({ id, token, jobs }))
  const jobs = spread.isSingle
    ? carriers.map((one) => one.jobs.map((job) => pack(job)))
    : await packCarried(spread, carriers)
  return records.map((one, n) => ({ record: one, jobs: jobs[n] ?? [] }))
}

/** Whether a job belongs to another partition than the record. */
function crosses({ job, id }: Packed): boolean {
  return id.length > packedLength && job.unique !== null
}

function answerOf(
  { record: { jobs }, jobs: packed }: PackedRecord,
  written: Written | undefined,
  found: ReadonlyMap<string, Inserted> = new Map(),
): RecordAnswer {
  if (!written) return 'stale'
  if (jobs === undefined) return 'recorded'
  return packed.map(({ job }, n) => found.get(job.id) ?? readInserted(job.id, written[n] ?? 'c'))
}

const HOLDER = scriptOf('holder', jobsLua, `return holderOf(ARGV[4]) or ''`)

/** What became of jobs that went through the outbox: they are there, or another has their key. */
async function lookFor(
  spread: Spread,
  jobs: readonly Packed[],
): Promise<ReadonlyMap<string, Inserted>> {
  const found = new Map<string, Inserted>()
  const known = await getSpread(
    spread,
    jobs.map(({ job }) => job.id),
  )
  for (const [n, { job }] of jobs.entries()) {
    if (known[n]) found.set(job.id, { id: job.id, status: 'created', token: null })
    else if (job.unique !== null) {
      const holder = await holderIn(spread.ofText(job.unique.key), job.unique.key)
      if (holder !== null) found.set(job.id, { id: holder, status: 'duplicate', token: null })
    }
  }
  return found
}

async function holderIn(partition: Partition, key: string): Promise<string | null> {
  const holder = (await partition.run(HOLDER, [escape(key)])) as string
  return holder === '' ? null : unpackId(holder)
}

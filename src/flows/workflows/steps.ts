/** How the jobs of a run are divided into steps, of which each is one call of the store. */
import { usualStepWeight } from '../../core/job.ts'
import type { NewJob } from '../../store/job.ts'
import type { StoreInfo } from '../../store/store.ts'

/**
 * Bounds of a step, and of a run that is stored in one. A job weighs one, and one more for each of its needs: a hundred nodes fit
 * with two parts that need them all, which on the slowest store is some tens of milliseconds; a faster one says how much it takes.
 * Characters are those of inputs and options.
 */
const bounds = { weight: usualStepWeight, chars: 4_000_000 } as const

export interface Step {
  readonly jobs: readonly NewJob[]
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** Divides jobs, which come in the order in which they need each other. Holds those of two steps at most. */
export async function* inSteps(
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>,
  { stepWeight = bounds.weight }: Pick<StoreInfo, 'stepWeight'>,
): AsyncGenerator<Step> {
  let isFirst = true
  let before: readonly NewJob[] | null = null
  for await (const some of packed(jobs, stepWeight)) {
    if (before !== null) {
      yield { jobs: before, isFirst, isLast: false }
      isFirst = false
    }
    before = some
  }
  yield { jobs: before ?? [], isFirst, isLast: true }
}

async function* packed(
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>,
  weight: number,
): AsyncGenerator<readonly NewJob[]> {
  let pack = new Pack()
  for await (const job of jobs) {
    if (!pack.fits(job, weight)) {
      yield pack.jobs
      pack = new Pack()
    }
    pack.add(job)
  }
  yield pack.jobs
}

class Pack {
  readonly jobs: NewJob[] = []
  #weight = 0
  #chars = 0

  fits(job: NewJob, most: number): boolean {
    if (this.jobs.length === 0) return true
    return this.#weight + weightOf(job) <= most && this.#chars + charsOf(job) <= bounds.chars
  }

  add(job: NewJob): void {
    this.jobs.push(job)
    this.#weight += weightOf(job)
    this.#chars += charsOf(job)
  }
}

/** One that needs nothing will need a gate. */
function weightOf({ needs }: NewJob): number {
  return 1 + Math.max(1, needs.length)
}

function charsOf({ input, options }: NewJob): number {
  return input.length + (options?.length ?? 0)
}

/** How the jobs of a run are divided into steps, of which each is one call of the store. */
import type { NewJob } from '../../store/job.ts'

/**
 * Bounds of a step. A job weighs one, and one more for each of its needs: two parts of 100 needs fit, which on the
 * slowest store is some tens of milliseconds. Characters are those of inputs and options.
 */
const bounds = { weight: 202, chars: 4_000_000 } as const
/** A run that weighs no more than this is stored in one step. */
const oneStepWeight = 400

export interface Step {
  readonly jobs: readonly NewJob[]
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** Divides jobs, which come in the order in which they need each other. Holds those of two steps at most. */
export async function* inSteps(
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>,
): AsyncGenerator<Step> {
  let isFirst = true
  let before: readonly NewJob[] | null = null
  for await (const some of packed(jobs)) {
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
): AsyncGenerator<readonly NewJob[]> {
  let pack = new Pack()
  let isFew = true
  for await (const job of jobs) {
    if (isFew && !pack.fits(job, oneStepWeight)) {
      isFew = false
      let part = new Pack()
      for (const one of pack.jobs) {
        if (!part.fits(one, bounds.weight)) {
          yield part.jobs
          part = new Pack()
        }
        part.add(one)
      }
      pack = part
    }
    if (!isFew && !pack.fits(job, bounds.weight)) {
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

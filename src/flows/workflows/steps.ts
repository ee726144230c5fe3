/** How the jobs of a run are divided into steps, of which each is one call of the store. */
import type { NewJob } from '../../store/job.ts'
import { usualStepWeight, type StoreInfo } from '../../store/store.ts'

/**
 * Bounds of a step, and of a run that is stored in one. A job weighs one, and one more for each of its needs: a hundred nodes fit
 * with two parts that need them all, which on the slowest store is some tens of milliseconds; a faster one says how much it takes.
 * Roots are those that one gate releases. Characters are those of inputs and options.
 */
const bounds = { weight: usualStepWeight, jobs: 900, roots: 500, chars: 500_000 } as const

export interface Step {
  readonly jobs: readonly NewJob[]
  readonly isFirst: boolean
  readonly isLast: boolean
}

/**
 * Divides jobs, which come in the order in which they need each other. The last step holds as many as fit: once it is stored the run
 * is whole, so that they wait for no gate. Holds the jobs of two steps at most.
 */
export async function* inSteps(
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>,
  { stepWeight = bounds.weight }: Pick<StoreInfo, 'stepWeight'>,
): AsyncGenerator<Step> {
  let isFirst = true
  let before: readonly NewJob[] = []
  let pack = new Pack('gated', stepWeight)
  for await (const job of jobs) {
    if (!pack.fits(job)) {
      if (before.length > 0) {
        yield { jobs: before, isFirst, isLast: false }
        isFirst = false
      }
      before = pack.jobs
      pack = new Pack('gated', stepWeight)
    }
    pack.add(job)
  }
  const rest = [...before, ...pack.jobs]
  const last = new Pack('last', stepWeight)
  let place = rest.length
  for (let job = rest[place - 1]; job !== undefined && last.fits(job); job = rest[place - 1]) {
    last.add(job)
    place -= 1
  }
  // What fits into two steps with gates does so into one and the last.
  const others = rest.slice(0, place)
  if (others.length > 0) {
    yield { jobs: others, isFirst, isLast: false }
    isFirst = false
  }
  yield { jobs: rest.slice(place), isFirst, isLast: true }
}

class Pack {
  readonly jobs: NewJob[] = []
  readonly #kind: 'gated' | 'last'
  readonly #most: number
  #weight = 0
  #roots = 0
  #chars = 0

  constructor(kind: 'gated' | 'last', most: number) {
    this.#kind = kind
    this.#most = most
  }

  fits(job: NewJob): boolean {
    if (this.jobs.length === 0) return true
    if (this.#weight + this.#weightOf(job) > this.#most) return false
    if (this.jobs.length >= bounds.jobs || this.#roots >= bounds.roots) return false
    return this.#chars + charsOf(job) <= bounds.chars
  }

  add(job: NewJob): void {
    this.jobs.push(job)
    this.#weight += this.#weightOf(job)
    this.#chars += charsOf(job)
    if (this.#kind === 'gated' && job.needs.length === 0) this.#roots += 1
  }

  /** One that needs nothing needs a gate, but for those of the last step. */
  #weightOf({ needs }: NewJob): number {
    return 1 + (this.#kind === 'gated' ? Math.max(1, needs.length) : needs.length)
  }
}

function charsOf({ input, options }: NewJob): number {
  return input.length + (options?.length ?? 0)
}

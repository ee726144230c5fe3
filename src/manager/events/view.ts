/** What streams look at, each kept once for all of its streams: a job, or the jobs of a queue or task. */
import type { StoredJob } from '../../store/job.ts'
import { changed, latest, shown, type ShownJob } from './changes.ts'

/** What a look has found. */
interface News {
  readonly jobs: readonly ShownJob[]
  /** Jobs that are not known any more. */
  readonly gone: readonly string[]
  /** What somebody has seen who got all of it: a time of the store, in ms. */
  readonly seen: number
}

export interface Subscriber {
  /** Gets all that is in view when it joins, or at the first look after that. */
  begin(jobs: readonly ShownJob[], seen: number): void
  tell(news: News): void
}

/** Reads what is in view, knowing what was; and which of that are not known any more. */
export type Look = (
  before: ReadonlyMap<string, ShownJob>,
) => Promise<{ readonly jobs: readonly StoredJob[]; readonly gone: readonly string[] }>

/** A view with its subscribers. */
export class View {
  readonly #look: Look
  readonly #redact: (job: StoredJob) => StoredJob
  readonly #subscribers = new Set<Subscriber>()
  #jobs: ReadonlyMap<string, ShownJob> = new Map()
  #seen = 0
  #hasLooked = false

  constructor(look: Look, redact: (job: StoredJob) => StoredJob = (job) => job) {
    this.#look = look
    this.#redact = redact
  }

  get isWatched(): boolean {
    return this.#subscribers.size > 0
  }

  add(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber)
    if (this.#hasLooked) subscriber.begin([...this.#jobs.values()], this.#seen)
    return () => void this.#subscribers.delete(subscriber)
  }

  /** Reads, and sends the subscribers what changed. Rejects with the store's error, and then sends nothing. */
  async look(): Promise<void> {
    const before = this.#jobs
    const found = await this.#look(before)
    const jobs = new Map(found.jobs.map((job) => [job.id, shown(this.#redact(job))]))
    const isFirst = !this.#hasLooked
    const news = isFirst ? [] : changed(before, jobs, this.#seen)
    this.#jobs = jobs
    this.#seen = latest(jobs.values(), this.#seen)
    this.#hasLooked = true
    for (const subscriber of this.#subscribers) {
      if (isFirst) subscriber.begin([...jobs.values()], this.#seen)
      else if (news.length > 0 || found.gone.length > 0)
        subscriber.tell({ jobs: news, gone: found.gone, seen: this.#seen })
    }
  }
}

/**
 * The calls of one attempt: `job.call`, from the worker's side.
 *
 * A call goes: made (what is called is recorded and its job inserted, in one step; the id of that
 * follows from the caller and the call's name) → ended (its end is recorded, then returned). Each of
 * the records is durable and fenced by the lease, so a run that is cut off between the two is taken
 * up by the next at the same place, and a stale run records nothing and makes nothing: when a job
 * has been cancelled, all that it ever called is in its journal.
 *
 * Another job may hold the unique key of a called one. Then it is the one that is waited for, and a
 * second record says so: until then the first says that the call may not have been made.
 *
 * While a call is open, the attempt rests: it has no slot, and its timeout stands still. For what
 * follows on an end it takes a slot; if other calls are still open then, it rests again as soon as
 * its handler has had a turn.
 */
import { underId } from '../app/before.ts'
import {
  endOf,
  lifeRecord,
  readCalls,
  type CallEnd,
  type CallEntry,
  type KeptCalls,
} from '../app/call-journal.ts'
import { hasRun } from '../app/cancel.ts'
import type { Results } from '../client/results.ts'
import { sleep } from '../core/clock.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { callId } from '../core/id.ts'
import { isFinal } from '../core/job.ts'
import { setImmediate } from '../core/timers.ts'
import { answered } from '../loops/call-deadline.ts'
import { mayPass } from '../loops/supervised.ts'
import type { EventHub } from '../observe/events.ts'
import type { Inserted } from '../store/intake.ts'
import type { ClaimedJob, NewJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import type { RecordAnswer, RunRecord } from '../store/worker-calls.ts'
import type { Records } from './records.ts'
import { abortError, type CallRequest } from './runner.ts'

/** What the calls of all attempts share. */
export interface CallServices {
  readonly store: Store
  readonly records: Records
  readonly results: Pick<Results, 'ended'>
  readonly events: Pick<EventHub, 'tracing'>
}

/** Where an attempt goes while it waits. */
export interface RestingPlace {
  /** It waits now. Does nothing when it does already, or was aborted. */
  rest(): void
  /** Resolves when it has a slot again, at once if it has one. */
  back(): Promise<void>
}

/** Of one job. The characters are those of its records. */
const most = { calls: 1_000, chars: 32_000_000 } as const

/** Pauses between two tries, while the store does not answer. */
const pause = { firstMs: 100, mostMs: 4_000 } as const

export class AttemptCalls {
  readonly #services: CallServices
  readonly #job: ClaimedJob
  readonly #startedAgoMs: () => number
  readonly #place: RestingPlace
  readonly #stop = new AbortController()
  #kept: Promise<KeptCalls> | null = null
  #chars = 0
  /** Calls whose jobs have not ended. */
  #open = 0
  readonly #writing = new Set<Promise<RecordAnswer>>()

  constructor(
    services: CallServices,
    job: ClaimedJob,
    startedAgoMs: () => number,
    place: RestingPlace,
  ) {
    this.#services = services
    this.#job = job
    this.#startedAgoMs = startedAgoMs
    this.#place = place
  }

  /** Makes a call, or finds what it came to. */
  async make(request: CallRequest): Promise<CallEnd> {
    this.#stop.signal.throwIfAborted()
    const { name } = request
    const { entries, life } = await (this.#kept ??= this.#read())
    let entry = entries.get(name)
    if (entry === undefined) {
      entry = this.#first(request, life)
      if (entries.size >= most.calls) throw tooMany()
      entries.set(name, entry)
    } else {
      refuseChanged(entry, request)
      if (entry.life < life && entry.end?.state !== 'completed') {
        entry = await this.#again(name, entry, life)
        entries.set(name, entry)
      }
    }
    if (entry.end !== null) return entry.end
    return this.#toItsEnd(request, entry, entries)
  }

  /** The attempt was asked to end: so do its calls, with this error. */
  abort(error: ErrandError): void {
    this.#stop.abort(error)
  }

  /**
   * Records that were sent and not answered, once it was aborted: what they make must be there
   * before the end of the job decides what becomes of it. Null when there are none.
   */
  get unwritten(): Promise<unknown> | null {
    return this.#writing.size === 0 ? null : Promise.allSettled(this.#writing)
  }

  async #read(): Promise<KeptCalls> {
    const { store } = this.#services
    const { id, token } = this.#job
    // With its start written, a run that is lost counts, and is told from one after a retry.
    const start = { id, token, kind: 'start', agoMs: this.#startedAgoMs() } as const
    const [kept, [noted]] = await Promise.all([
      this.#insist(() => readCalls(store, id)),
      this.#insist(() => store.note([start])),
    ])
    if (noted === 'stale') throw abortError('lease-lost', this.#job)
    for (const entry of kept.entries.values()) this.#chars += JSON.stringify(entry).length
    if (hasRun(this.#job.counters) || kept.entries.size === 0) return kept
    // An operator's retry has set all counters to 0: another life begins.
    const life = kept.life + 1
    await this.#write(lifeRecord, String(life))
    return { ...kept, life }
  }

  #first({ name, job, input }: CallRequest, life: number): CallEntry {
    const child = callId(this.#job.id, name, 0)
    const none = { made: false, shared: false, round: 0, end: null }
    return { task: job.task, input, job: child, life, ...none }
  }

  /** In another life a call that has failed is made anew, unless its job was retried as well. */
  async #again(name: string, entry: CallEntry, life: number): Promise<CallEntry> {
    const { store } = this.#services
    const [job = null] = await this.#insist(() => store.get([entry.job]))
    const isLive = job !== null && (job.state === 'completed' || !isFinal(job.state))
    if (isLive) {
      const next: CallEntry = { ...entry, life, end: null }
      await this.#record(name, next)
      return next
    }
    const round = entry.round + 1
    const child = callId(this.#job.id, name, round)
    return { ...entry, life, round, job: child, made: false, shared: false, end: null }
  }

  /** Records the call and inserts its job. */
  async #makeJob({ name, job, before }: CallRequest, entry: CallEntry): Promise<CallEntry> {
    const mayBeShared = job.unique !== null
    const made = underId([...before, job], entry.job)
    const { tracing } = this.#services.events
    const jobs = tracing?.following(this.#job, made) ?? made
    const own = { ...entry, made: !mayBeShared }
    const inserted = (await this.#record(name, own, jobs)).at(-1)
    if (!mayBeShared || inserted === undefined) return own
    if (inserted.id === this.#job.id) throw callsItself(this.#job)
    const shared = inserted.id !== entry.job
    const other: CallEntry = { ...entry, job: inserted.id, made: true, shared }
    // The id of another's job is known from nowhere else.
    if (shared) await this.#record(name, other)
    return other
  }

  async #toItsEnd(
    request: CallRequest,
    recorded: CallEntry,
    entries: Map<string, CallEntry>,
  ): Promise<CallEnd> {
    const { results } = this.#services
    const { name } = request
    let entry = recorded.made ? recorded : await this.#makeJob(request, recorded)
    this.#open++
    this.#place.rest()
    try {
      const end = endOf(await results.ended(entry.job, this.#stop.signal))
      if (end === null) throw new TypeError(`${entry.job} has not ended`)
      entry = { ...entry, end }
      await this.#record(name, entry)
      entries.set(name, entry)
      return end
    } finally {
      this.#open--
      await this.#place.back()
      // The handler goes on before that.
      setImmediate(() => {
        if (this.#open > 0) this.#place.rest()
      })
    }
  }

  /** Writes a record, and inserts jobs with it; returns what became of these. */
  async #record(
    name: string,
    entry: CallEntry,
    jobs: readonly NewJob[] = [],
  ): Promise<readonly Inserted[]> {
    const text = JSON.stringify(entry)
    this.#chars += text.length
    if (this.#chars > most.chars) throw tooLarge()
    return this.#write(name, text, jobs)
  }

  async #write(
    name: string,
    text: string,
    jobs: readonly NewJob[] = [],
  ): Promise<readonly Inserted[]> {
    const { id, token } = this.#job
    const record = { id, token, name, text, ...(jobs.length > 0 && { jobs }) }
    const answer = await this.#insist(() => this.#pending(record))
    if (answer === 'stale') throw abortError('lease-lost', this.#job)
    return answer === 'recorded' ? [] : answer
  }

  /** Writes a record; what is under way is known until its answer comes. */
  #pending(record: RunRecord): Promise<RecordAnswer> {
    const writing = this.#services.records.write(record)
    const over = (): void => void this.#writing.delete(writing)
    this.#writing.add(writing)
    writing.then(over, over)
    return writing
  }

  /** Calls the store until it answers, or the attempt is aborted. */
  async #insist<T>(call: () => Promise<T>): Promise<T> {
    const { clock } = this.#services.store
    const { signal } = this.#stop
    for (let pauseMs: number = pause.firstMs; ; pauseMs = Math.min(2 * pauseMs, pause.mostMs)) {
      signal.throwIfAborted()
      try {
        return await unlessAborted(answered(clock, call()), signal)
      } catch (error) {
        signal.throwIfAborted()
        if (mayPass(error) !== 'yes' || isErrandError(error, 'closed')) throw error
      }
      await sleep(clock, pauseMs * (0.5 + Math.random() / 2), signal)
    }
  }
}

function unlessAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    call.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function refuseChanged(entry: CallEntry, { name, job, input }: CallRequest): void {
  const was = entry.task !== job.task ? `${entry.task}, and is now of ${job.task}` : null
  if (was === null && entry.input === input) return
  const what = was === null ? `${job.task} with another input than now` : was
  throw new ErrandError(
    'call-changed',
    `The call ${shownName(name)} was recorded by an earlier run as one of ${what}. A job that runs again must make its calls as before: derive inputs from the job's own input and from outputs of calls, give calls whose order may change an id, and enqueue a new job after a change of the code.`,
    { details: { call: name, job: entry.job } },
  )
}

function shownName(name: string): string {
  return name.slice(name.indexOf('/') + 1)
}

function tooMany(): ErrandError {
  return new ErrandError(
    'overloaded',
    `A job makes at most ${most.calls} calls; have those it calls make the rest, or use job.enqueue() for what it need not wait for.`,
  )
}

function tooLarge(): ErrandError {
  return new ErrandError(
    'too-large',
    `A job keeps at most ${most.chars / 1_000_000} MB of what its calls returned: store what is large elsewhere and return its name.`,
  )
}

function callsItself({ task, id }: ClaimedJob): ErrandError {
  return new ErrandError(
    'invalid-option',
    `${task} ${id} calls a job whose unique key it holds itself, and would wait for its own end.`,
  )
}

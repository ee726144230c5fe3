/**
 * Stores the jobs of a run: in one step where they are few, else step by step, behind gates that the last step opens. See
 * `app/start-gate.ts` for what becomes of a start that does not come to its end.
 *
 * A record holds how far the start has come. Each step moves it, so that of two who start under one id each step is stored
 * once, and a repeat goes on where the first stopped. The last step removes it.
 */
import { createHash, type Hash } from 'node:crypto'
import { bareFacts, makeJob } from '../../app/new-job.ts'
import { newId } from '../../app/new-id.ts'
import {
  gateTaskName,
  startKey,
  startPatienceMs,
  takeBack,
  type GateInput,
} from '../../app/start-gate.ts'
import type { Client } from '../../client/client.ts'
import { insertStep, insertTogether } from '../../client/insert-together.ts'
import { ErrandError } from '../../core/errors.ts'
import { followUpId } from '../../core/id.ts'
import type { Need, NewJob, UniqueRule } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { RunLabels } from './plan.ts'
import { inSteps, type Step } from './steps.ts'

/** How often a start that waits for its entries says that it lives, in ms. */
const beatMs = 60_000
/** Gates go before whatever waits in their queue. */
const firstPriority = -1_000

/** How far a start has come, as its record says. */
interface Progress {
  readonly step: number
  /** The id of the first gate. */
  readonly gate: string
  /** Of all jobs up to this step. */
  readonly digest: string
}

/** Stores the jobs, which come in the order in which they need each other, the end of the run among the last. */
export async function storeRun(
  client: Client,
  labels: RunLabels,
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>,
  tx: unknown,
): Promise<void> {
  await client.call(async (store) => {
    const key = startKey(labels.group)
    let start: LargeStart | null = null
    try {
      for await (const step of inSteps(jobs, store.info)) {
        // A transaction is one step whatever it does.
        if (tx !== undefined || (step.isFirst && step.isLast))
          await insertTogether(store, key, step.jobs, tx)
        else await (start ??= await LargeStart.begin(client, store, labels)).add(step)
      }
    } catch (error) {
      await start?.giveUp()
      throw error
    } finally {
      start?.stop()
    }
  })
}

class LargeStart {
  readonly #client: Client
  readonly #store: Store
  readonly #labels: RunLabels
  readonly #hash: Hash = createHash('sha256')
  /** What the record holds; null for none. */
  #record: string | null
  #done: Progress | null
  readonly #firstGate: string
  #lastGate: string | null = null
  #queue = 'default'
  #step = 0
  #stopBeat: () => void = () => undefined

  constructor(client: Client, store: Store, labels: RunLabels, record: string | null) {
    this.#client = client
    this.#store = store
    this.#labels = labels
    this.#record = record
    this.#done = progressIn(record)
    this.#firstGate = this.#done?.gate ?? newId()
  }

  static async begin(client: Client, store: Store, labels: RunLabels): Promise<LargeStart> {
    const [record = null] = await store.getRecords([startKey(labels.group)])
    const start = new LargeStart(client, store, labels, record)
    start.#armBeat()
    return start
  }

  /** Stores a step, unless it is stored. Rejects when the start was taken back, or is that of other jobs. */
  async add({ jobs, isLast }: Step): Promise<void> {
    this.#step += 1
    if (this.#step === 1) this.#queue = jobs[0]?.queue ?? this.#queue
    for (const { id, task, input } of jobs) this.#hash.update(`${id} ${task} ${input}\n`)
    const digest = this.#hash.copy().digest('base64')
    const gated = isLast && this.#step > 1 ? jobs : this.#behindGate(jobs)
    if (this.#isStored(digest)) return
    const next: Progress = { step: this.#step, gate: this.#firstGate, digest }
    const to = isLast ? null : JSON.stringify(next)
    const all = isLast ? [...gated, this.#gate({ dueInMs: 0 })] : gated
    const advance = { key: startKey(this.#labels.group), from: this.#record, to }
    const inserted = await insertStep(this.#store, advance, all, undefined)
    if (inserted === 'stale') await this.#catchUp(digest)
    else this.#record = to
  }

  /** Takes back what is stored; what cannot be taken back now, the first gate does later. */
  async giveUp(): Promise<void> {
    this.stop()
    if (this.#record === null) return
    const { app } = this.#client
    const run = this.#labels.group
    await takeBack(app, run, this.#record).catch((error: unknown) => {
      app.events.warn('run-start', { run, what: 'take-back', error })
    })
  }

  stop(): void {
    this.#stopBeat()
    this.#stopBeat = () => undefined
  }

  #isStored(digest: string): boolean {
    const done = this.#done
    if (done === null || done.step < this.#step) return false
    if (done.step > this.#step || done.digest === digest) return true
    // Not ours to take back.
    this.#record = null
    throw new ErrandError(
      'invalid-option',
      `The start of ${this.#labels.group} that is under way has other jobs: take another id.`,
    )
  }

  /** Another has moved the record: it goes on with the same start, has ended it, or has taken it back. */
  async #catchUp(digest: string): Promise<void> {
    const { group } = this.#labels
    const [record = null] = await this.#store.getRecords([startKey(group)])
    const [end] = await this.#store.get([group])
    if (end) {
      // Nothing is left to store: the steps to come count as stored.
      this.#done = { step: Infinity, gate: this.#firstGate, digest }
      this.#record = null
      return
    }
    this.#record = record
    this.#done = progressIn(record)
    if (this.#isStored(digest)) return
    this.#record = null
    throw new ErrandError(
      'interrupted',
      `The start of ${group} was silent for so long that it was taken back: start it anew.`,
    )
  }

  /** The jobs with the gate of their step, which those that need nothing need. */
  #behindGate(jobs: readonly NewJob[]): readonly NewJob[] {
    const roots = jobs.filter(({ needs }) => needs.length === 0)
    if (roots.length === 0 && this.#step > 1) return jobs
    const before = this.#lastGate
    const id =
      before === null
        ? this.#firstGate
        : followUpId(this.#labels.group, 0, `gate/${this.#step.toFixed()}`)
    this.#lastGate = id
    const gate =
      before === null
        ? this.#gate({ id, dueInMs: startPatienceMs })
        : { ...this.#bareGate(id, null), needs: [needOfGate(before)] }
    const needs = [needOfGate(id)]
    return [gate, ...jobs.map((job) => (job.needs.length === 0 ? { ...job, needs } : job))]
  }

  /** The first gate, or one that takes its place while it waits: then that is due so. */
  #gate({ id = newId(), dueInMs }: { readonly id?: string; readonly dueInMs: number }): NewJob {
    const run = this.#labels.group
    const key = startKey(run)
    const unique: UniqueRule = {
      key,
      during: ['blocked', 'scheduled', 'ready', 'running'],
      forMs: null,
      onConflict: 'replace',
      maxWaitMs: null,
    }
    return { ...this.#bareGate(id, { run, record: key }), unique, delayMs: dueInMs }
  }

  #bareGate(id: string, input: GateInput | null): NewJob {
    const { group, headers = {}, tags = [] } = this.#labels
    const facts = { ...bareFacts(gateTaskName), queue: this.#queue }
    const of = { group, headers }
    const job = makeJob(this.#client.app, facts, input, { tags }, { id, of })
    return { ...job, priority: firstPriority, startWithinMs: null, deadlineMs: null }
  }

  #armBeat(): void {
    this.#stopBeat = this.#store.clock.after(beatMs, () => {
      this.#armBeat()
      void this.#beat()
    })
  }

  /** Puts the taking back off. One beat that fails is made up for by the next. */
  async #beat(): Promise<void> {
    const at = this.#record
    if (at === null) return
    const advance = { key: startKey(this.#labels.group), from: at, to: at }
    try {
      await insertStep(this.#store, advance, [this.#gate({ dueInMs: startPatienceMs })], undefined)
    } catch (error) {
      const run = this.#labels.group
      this.#client.app.events.warn('run-start', { run, what: 'beat', error })
    }
  }
}

function needOfGate(id: string): Need {
  return { kind: 'job', id, onFailed: 'cancel' }
}

function progressIn(record: string | null): Progress | null {
  return record === null ? null : (JSON.parse(record) as Progress)
}

/**
 * The children of one isolated task.
 *
 * Each child: starting (until it has said what it has loaded) → idle ⇄ busy (one job at a time) →
 * gone, from any of them: whatever ends it, it is out of the pool before anything else happens.
 * A child that does not start rejects all who wait for one: the task is broken here.
 */
import { ErrandError } from '../core/errors.ts'
import { formatMs } from '../core/duration.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'
import type { Child, ChildEnd } from './child.ts'
import type { Form, FromChild } from './messages.ts'
import { bringBack } from './thrown.ts'

/** How long a child may take to be ready, to end when asked to, and to rest before it is ended. */
const bounds = { startMs: 30_000, endMs: 2_000, restMs: 60_000 } as const

export interface PoolOptions {
  readonly task: string
  readonly maxJobs: number | null
  /** Starts a child. Throws when none can be started. */
  readonly start: () => Child
}

/** A child in the pool. */
export interface Member {
  readonly child: Child
  readonly form: Form
  /** Receives the child's messages about its job; null between jobs. */
  hear: ((message: FromChild) => void) | null
  /** Hears that the child has ended; null between jobs. */
  died: ((end: ChildEnd) => void) | null
  jobs: number
  /** Ends a child that rests for long. */
  restTimer: NodeJS.Timeout | undefined
}

export class Pool {
  readonly #options: PoolOptions
  readonly #idle: Member[] = []
  readonly #waiting: PromiseWithResolvers<Member>[] = []
  readonly #children = new Set<Child>()
  #starting = 0
  #isStopped = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Starts a child before there is a job, so that the first one need not wait. */
  warm(failed: (error: unknown) => void): void {
    if (this.#children.size > 0 || this.#isStopped) return
    this.#start().catch(failed)
  }

  /** A child that is free now. Rejects with `cannot-start`; `signal` ends the wait. */
  take(signal: AbortSignal): Member | Promise<Member> {
    const idle = this.#idle.pop()
    if (idle !== undefined) {
      clearTimeout(idle.restTimer)
      return idle
    }
    return this.#wait(signal)
  }

  /** A job has ended, and the child lives. */
  give(member: Member): void {
    member.hear = member.died = null
    member.jobs++
    const { maxJobs } = this.#options
    if (!this.#children.has(member.child)) return
    if (this.#isStopped || (maxJobs !== null && member.jobs >= maxJobs)) {
      this.#retire(member.child)
      // Should it fail, the next job finds out and says so.
      this.warm(() => undefined)
      return
    }
    this.#free(member)
  }

  /** Ends all children: those that rest in their own time, the others at once. */
  async stop(): Promise<void> {
    this.#isStopped = true
    const stopped = new ErrandError('interrupted', 'The worker stops.')
    for (const one of this.#waiting.splice(0)) one.reject(stopped)
    const resting = new Set(
      this.#idle.splice(0).map(({ child, restTimer }) => {
        clearTimeout(restTimer)
        return child
      }),
    )
    const all = [...this.#children]
    for (const child of all) {
      if (resting.has(child)) this.#retire(child)
      else child.kill()
    }
    await Promise.all(all.map(({ ended }) => ended))
  }

  async #wait(signal: AbortSignal): Promise<Member> {
    signal.throwIfAborted()
    if (this.#isStopped) throw cannotStart(this.#options.task, 'the worker stops')
    const waiting = Promise.withResolvers<Member>()
    const leave = (): void => {
      const at = this.#waiting.indexOf(waiting)
      if (at >= 0) this.#waiting.splice(at, 1)
      waiting.reject(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    this.#waiting.push(waiting)
    if (this.#starting < this.#waiting.length) {
      this.#start().catch((error: unknown) => {
        for (const one of this.#waiting.splice(0)) one.reject(error)
      })
    }
    try {
      return await waiting.promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** Rejects with `cannot-start`, having ended the child. */
  async #start(): Promise<void> {
    this.#starting++
    try {
      await this.#startChild()
    } finally {
      this.#starting--
    }
  }

  async #startChild(): Promise<void> {
    const { task, start } = this.#options
    let child: Child
    try {
      child = start()
    } catch (cause) {
      throw cannotStart(task, cause instanceof Error ? cause.message : String(cause), cause)
    }
    this.#children.add(child)
    let member: Member | null = null
    void child.ended.then((end) => {
      this.#gone(child)
      member?.died?.(end)
    })
    const { promise, resolve, reject } = Promise.withResolvers<Form>()
    const late = setTimeout(() => {
      reject(cannotStart(task, `it was not ready within ${formatMs(bounds.startMs)}`))
    }, bounds.startMs)
    void child.ended.then(({ how, cause }) => reject(cannotStart(task, how, cause)))
    child.listen((message) => {
      if (member !== null) return member.hear?.(message)
      if (message.kind === 'broken') {
        const cause = bringBack(message.thrown)
        reject(cannotStart(task, cause instanceof Error ? cause.message : String(cause), cause))
      }
      if (message.kind !== 'ready') return
      if (message.tasks.includes(task)) return resolve(message.form)
      reject(cannotStart(task, `it has loaded ${message.tasks.join(', ') || 'no task'}`))
    })
    try {
      const form = await promise
      member = { child, form, hear: null, died: null, jobs: 0, restTimer: undefined }
      this.#free(member)
    } catch (error) {
      child.kill()
      throw error
    } finally {
      clearTimeout(late)
    }
  }

  #free(member: Member): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next.resolve(member)
    this.#idle.push(member)
    member.restTimer = setTimeout(() => this.#rested(member), bounds.restMs)
    member.restTimer.unref()
  }

  /** The last one stays, so that the next job need not wait. */
  #rested(member: Member): void {
    const at = this.#idle.indexOf(member)
    if (at < 0 || this.#children.size === 1) return
    this.#idle.splice(at, 1)
    this.#retire(member.child)
  }

  /** Lets a child end in its own time, within bounds. It is no longer counted. */
  #retire(child: Child): void {
    this.#children.delete(child)
    const timer = setTimeout(() => child.kill(), bounds.endMs)
    void child.ended.then(() => clearTimeout(timer))
    child.send({ kind: 'end' })
  }

  #gone(child: Child): void {
    this.#children.delete(child)
    const at = this.#idle.findIndex((one) => one.child === child)
    if (at < 0) return
    clearTimeout(this.#idle[at]?.restTimer)
    this.#idle.splice(at, 1)
  }
}

/** The error of a job whose child ended before it. */
export function childDied(
  job: { readonly task: string; readonly id: string },
  { how, details, cause }: ChildEnd,
): ErrandError {
  return new ErrandError('child-died', `${job.task} ${job.id} did not end: ${how}.`, {
    details: { ...details },
    ...(cause === undefined ? {} : { cause }),
  })
}

function cannotStart(task: string, why: string, cause?: unknown): ErrandError {
  return new ErrandError('cannot-start', `${task} cannot be isolated: ${why}`, { cause })
}

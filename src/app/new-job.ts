/** From a call of `enqueue`, or a follow-up, to the job that enters the store. */
import type { Codec } from '../core/codec.ts'
import { longestMs, toMs } from '../core/duration.ts'
import { callOptionNames, type EnqueueOptions, type FollowUps } from '../core/enqueue-options.ts'
import { ErrandError } from '../core/errors.ts'
import { readLabels, type Labels } from '../core/labels.ts'
import { finalStates } from '../core/job.ts'
import { normalise, type Layer, type Policy } from '../core/options.ts'
import { readChoice, readFlag, readQueueName } from '../core/read.ts'
import { checkName } from '../core/text.ts'
import { readFollowUps, type AnyTask } from '../core/task.ts'
import { keyName, normaliseUnique, uniqueKey, type UniqueLayer } from '../core/unique.ts'
import type { JobFacts, Need, NewJob, UniqueRule } from '../store/job.ts'
import type { App, QueueDefaults } from './app.ts'
import { newId } from './new-id.ts'
import { encodePayload } from './payload.ts'

/** What is known of a task where a job of it is made: from its definition or from the tasks registry. */
export interface TaskFacts {
  readonly name: string
  readonly aliases: readonly string[]
  readonly queue: string | null
  /** All of its queues, where it names several. */
  readonly queues?: readonly string[]
  /** What holds in each of those, where the app that knows has said so; for queues that this app does not name. */
  readonly ofQueues?: ReadonlyMap<string, QueueDefaults>
  readonly layer: Layer
  readonly unique: UniqueLayer | null | undefined
  readonly codec: Codec | null
  /** Tasks that run before, and what becomes of a job when one of them fails. */
  readonly before?: readonly (string | AnyTask)[]
  readonly onNeedFailed?: Need['onFailed'] | null
  /** Tasks that follow, for whoever ends a job without the definition of its task. */
  readonly onSuccess?: readonly (string | AnyTask)[]
  readonly onFailure?: readonly (string | AnyTask)[]
  readonly publish?: readonly (string | AnyTask)[]
}

/** Facts about a task of which nothing but its name is known. */
export function bareFacts(name: string): TaskFacts {
  return { name, aliases: [], queue: null, layer: {}, unique: undefined, codec: null }
}

/** The part of a call's options that travels with the job, as `NewJob.options` holds it in JSON. */
export interface StoredOptions {
  readonly layer?: Layer
  /** Its priority, where that is a head start in its line. */
  readonly priority?: number
  readonly onSuccess?: readonly string[]
  readonly onFailure?: readonly string[]
  /** How many follow-ups in a row lead to this one; absent for what somebody enqueued. */
  readonly depth?: number
  /** The tick of a schedule that the job is for; `plannedAt` in milliseconds. */
  readonly tick?: { readonly schedule: string; readonly plannedAt: number }
  /** What it needs; absent for a job that needs nothing and is of no workflow. */
  readonly node?: StoredNode
}

/** The name of a node, what it needs, and which jobs wait for it that were there before it. */
interface StoredNode {
  readonly name: string
  readonly needs: readonly (readonly [job: string, onFailed: Need['onFailed']])[]
  readonly holds?: readonly string[]
}

/** More follow-ups in a row are taken for a loop. */
export const mostFollowUps = 20

/** Where a job comes from, when it is not a producer's call. */
export interface JobOrigin {
  /** For ids that follow from others. Default: a new one. */
  readonly id?: string
  readonly parent?: string
  /** The place of a follow-up in its row, from 1. */
  readonly depth?: number
  /** The job whose group and headers this one inherits. */
  readonly of?: Pick<JobFacts, 'group' | 'headers'>
  /** Inserts the job as running under a lease of this worker. */
  readonly worker?: string
  /** Whether its parent waits for it: then it goes before others, and is kept until it was read. */
  readonly isAwaited?: boolean
  /** Its input is checked when it runs: it refers to what is not there yet. */
  readonly unchecked?: boolean
  /** Whether it replaces no job of another queue, as for a caller who may not touch all. */
  readonly isWithinQueue?: boolean
}

const noOptions: EnqueueOptions = {}
const notUnique: UniqueRule | null = null

/**
 * Makes the job of one call, resolving its options. The input must have been validated.
 * Throws `invalid-option`, `unknown-queue`, `not-json` and `too-large`.
 */
export function makeJob(
  app: App,
  task: TaskFacts,
  input: unknown,
  options: EnqueueOptions = noOptions,
  origin: JobOrigin = {},
): NewJob {
  const call = namesQueueAlone(options) ? null : readCall(options, app.store.clock.now())
  const queue = options.queue ?? task.queue ?? 'default'
  // A task's own queues are known by the task, even where the task is not the app's.
  if (queue !== task.queue && task.queues?.includes(queue) !== true) app.checkQueue(queue)
  const policy = app.policy(call?.layer ?? null, task, queue)
  const codec = task.codec ?? app.codec
  const labels = readLabels(options, 'enqueue()', inheritedFrom(origin))
  const priority = origin.isAwaited ? priorityOfAwaited(policy, call) : policy.priority
  const job: NewJob = {
    id: origin.id ?? newId(),
    task: task.name,
    queue,
    priority,
    input: encodePayload(app, input, codec, 'input'),
    codec: codec?.name ?? null,
    options: origin.isAwaited ? keptText(call, policy) : (call?.stored ?? depthText(origin)),
    parent: origin.parent ?? null,
    ...labels,
    delayMs: call?.delayMs ?? 0,
    runAt: call?.runAt ?? null,
    startWithinMs: policy.startWithinMs,
    deadlineMs: policy.deadlineMs,
    keepCancelledMs: origin.isAwaited ? keptMs(policy.keepMs.cancelled) : policy.keepMs.cancelled,
    unique: withinQueue(makeUnique(app, call?.unique, task, queue, input), origin),
    needs: [],
    entry:
      origin.worker === undefined
        ? null
        : { kind: 'running', worker: origin.worker, leaseMs: app.leaseMs },
  }
  return policy.ageingMs === null || priority === 0 ? job : aged(job, policy.ageingMs)
}

/**
 * The same job in a line in which waiting counts: all jobs of it have one priority for the store, and each step of their own is a
 * head start, below 0 for what stands behind. So their order never changes while they wait, and no job is looked at for its age.
 */
function aged(job: NewJob, ageingMs: number): NewJob {
  const { priority, options } = job
  const stored = JSON.parse(options ?? '{}') as StoredOptions
  return {
    ...job,
    priority: 0,
    headStartMs: -priority * ageingMs,
    options: JSON.stringify({ ...stored, priority } satisfies StoredOptions),
  }
}

/** The priority that a job was given. */
export function priorityOf({ priority, options }: Pick<JobFacts, 'priority' | 'options'>): number {
  // Nearly all jobs have no options at all.
  const stored = options === null ? undefined : readStoredOptions(options)?.priority
  return typeof stored === 'number' ? stored : priority
}

/** Whether a call gives no option but a queue, as most do that come over HTTP: its policy is that of the queue. */
function namesQueueAlone(options: EnqueueOptions): boolean {
  if (options === noOptions) return true
  const names = Object.keys(options ?? {})
  if (names.length !== 1 || names[0] !== 'queue' || options.queue === undefined) return false
  readQueueName(options.queue, 'enqueue().queue')
  return true
}

function inheritedFrom({ of }: JobOrigin): Labels {
  if (of === undefined) return {}
  const { group, headers } = of
  return group === null ? { headers } : { group, headers }
}

interface Call {
  readonly layer: Layer
  readonly stored: string | null
  readonly delayMs: number
  readonly runAt: number | null
  readonly unique: UniqueLayer | null | undefined
}

function readCall(options: EnqueueOptions, now: number): Call {
  const where = 'enqueue()'
  const layer = normalise(options, where, callOptionNames)
  const custom =
    layer.retryWhen ?? (typeof layer.backoff === 'function' ? layer.backoff : undefined)
  if (custom !== undefined) {
    throw new ErrandError(
      'invalid-option',
      `${where}.retry can hold no function, since it is stored with the job. Put it on the task.`,
    )
  }
  const { runAt } = options
  if (
    runAt !== undefined &&
    !(runAt instanceof Date && Math.abs(runAt.getTime() - now) <= longestMs)
  ) {
    throw new ErrandError(
      'invalid-option',
      `${where}.runAt must be a valid Date, at most 100 years from now, not ${String(runAt)}.`,
    )
  }
  if (runAt !== undefined && options.delay !== undefined) {
    throw new ErrandError('invalid-option', `${where} takes either delay or runAt, not both.`)
  }
  if (options.queue !== undefined) readQueueName(options.queue, `${where}.queue`)
  if (options.before !== undefined) followUpNames(options.before, `${where}.before`)
  if (options.onNeedFailed !== undefined)
    readChoice(options.onNeedFailed, ['cancel', 'run', 'fail'], `${where}.onNeedFailed`)
  if (options.inline !== undefined) readFlag(options.inline, `${where}.inline`)
  return {
    layer,
    stored: storedText(layer, options),
    delayMs: options.delay === undefined ? 0 : toMs(options.delay, `${where}.delay`),
    runAt: runAt?.getTime() ?? null,
    unique: normaliseUnique(options.unique, `${where}.unique`),
  }
}

function storedText(layer: Layer, options: EnqueueOptions): string | null {
  const stored: StoredOptions = {
    ...(Object.keys(layer).length === 0 ? {} : { layer }),
    ...(options.onSuccess === undefined
      ? {}
      : { onSuccess: followUpNames(options.onSuccess, 'enqueue().onSuccess') }),
    ...(options.onFailure === undefined
      ? {}
      : { onFailure: followUpNames(options.onFailure, 'enqueue().onFailure') }),
  }
  return Object.keys(stored).length === 0 ? null : JSON.stringify(stored)
}

/** For how long at least an awaited job is kept, whatever its retention says. */
const awaitedKeepMs = 24 * 3_600_000
const firstPriority = -1_000

/** Its parent holds memory while it waits, so it goes before what has not begun. */
function priorityOfAwaited({ priority }: Policy, call: Call | null): number {
  return call?.layer.priority === undefined ? Math.max(firstPriority, priority - 1) : priority
}

function keptMs(keepMs: number | null): number | null {
  return keepMs === null ? null : Math.max(keepMs, awaitedKeepMs)
}

/** The stored options of an awaited job, with a longer retention where its own is too short. */
function keptText(call: Call | null, { keepMs }: Policy): string | null {
  const short = finalStates.filter((state) => keptMs(keepMs[state]) !== keepMs[state])
  const stored = call?.stored ?? null
  if (short.length === 0) return stored
  const options = stored === null ? {} : (JSON.parse(stored) as StoredOptions)
  const longer = Object.fromEntries(short.map((state) => [state, awaitedKeepMs]))
  const layer = { ...options.layer, keepMs: { ...options.layer?.keepMs, ...longer } }
  return JSON.stringify({ ...options, layer } satisfies StoredOptions)
}

/** Follow-ups have no options of a call. */
function depthText({ depth }: JobOrigin): string | null {
  return depth === undefined ? null : JSON.stringify({ depth } satisfies StoredOptions)
}

/** The place of a job in its row of follow-ups; 0 for what somebody enqueued, or whose options something else wrote. */
export function depthOf({ depth }: StoredOptions): number {
  return Number.isInteger(depth) ? Number(depth) : 0
}

function followUpNames(followUps: FollowUps, where: string): readonly string[] {
  const all = [followUps].flat()
  for (const one of all) if (typeof one === 'string') checkName(one, where)
  return readFollowUps(all, where).map((one) => (typeof one === 'string' ? one : one.name))
}

/** Adds to a job's stored options the name under which people know it, what it needs, and whom it holds back. */
export function withNode(job: NewJob, name: string): NewJob {
  const stored = JSON.parse(job.options ?? '{}') as StoredOptions
  const needs = job.needs.map(({ id, onFailed }) => [id, onFailed] as const)
  const holds = job.holds?.map(({ id }) => id)
  const node: StoredNode = { name, needs, ...(holds && { holds }) }
  return { ...job, options: JSON.stringify({ ...stored, node } satisfies StoredOptions) }
}

/** Reads what `storedText` wrote; null for a text that something else wrote. */
export function readStoredOptions(text: string | null): StoredOptions | null {
  if (text === null) return {}
  try {
    const stored: unknown = JSON.parse(text)
    return typeof stored === 'object' ? stored : null
  } catch {
    return null
  }
}

/** The tick that a job is for; undefined for any other job. */
export function readTick(options: string | null): StoredOptions['tick'] {
  // Nearly all jobs have no options at all.
  return options === null ? undefined : readStoredOptions(options)?.tick
}

function withinQueue(rule: UniqueRule | null, { isWithinQueue }: JobOrigin): UniqueRule | null {
  if (rule?.onConflict !== 'replace' || isWithinQueue !== true) return rule
  return { ...rule, onConflict: 'replace-in-queue' }
}

function makeUnique(
  app: App,
  call: UniqueLayer | null | undefined,
  task: TaskFacts,
  queue: string,
  input: unknown,
): UniqueRule | null {
  const layer =
    call !== undefined
      ? call
      : task.unique !== undefined
        ? task.unique
        : (app.queueSettings(queue) ?? task.ofQueues?.get(queue))?.unique
  if (layer === null || layer === undefined) return notUnique
  return {
    key: uniqueKey(keyName(task), layer, input),
    during: layer.during,
    forMs: layer.forMs,
    onConflict: layer.onConflict,
    maxWaitMs: layer.maxWaitMs,
  }
}

/** Runs the handlers of a worker's isolated tasks in threads and processes: one pool for each task. */
import type { App } from '../app/app.ts'
import { ErrandError } from '../core/errors.ts'
import { isClassList } from '../core/options.ts'
import { ownModule } from '../core/own-module.ts'
import type { Handler, RunningJob } from '../core/running-job.ts'
import type { TaskList } from '../core/task-list.ts'
import type { Definition } from '../core/task.ts'
import { wrapped } from '../core/wrap.ts'
import type { ClaimedJob } from '../store/job.ts'
import { asInvalidInput } from '../worker/invalid-payload.ts'
import type { IsolatedHandlers } from '../worker/runner.ts'
import { setImmediate } from '../core/timers.ts'
import type { Child, ChildEnd } from './child.ts'
import type { JobFields, Load } from './messages.ts'
import { childDied, Pool, type Member } from './pool.ts'
import { startProcess } from './process-child.ts'
import { RemoteJob } from './remote-job.ts'
import { takeDown } from './thrown.ts'
import { startThread } from './thread-child.ts'

/** So many tasks have a child before they have a job. */
const warmTasks = 8

/**
 * Makes what runs the isolated tasks of a worker; null when there are none. Throws `invalid-task` for
 * a task of which the module is not known, and `no-thread` in a bundle.
 */
export function isolateTasks(app: App, { tasks }: TaskList): IsolatedHandlers | null {
  const pools = new Map<Definition, IsolatedTask>()
  for (const { definition } of tasks) {
    const one = isolatedTask(app, definition)
    if (one !== null) pools.set(definition, one)
  }
  if (pools.size === 0) return null
  return {
    of: (definition, job) => {
      const found = pools.get(definition)
      if (found === undefined) throw new TypeError(`${definition.name} is not isolated`)
      return found.handlerOf(job)
    },
    start(failed) {
      for (const [{ name }, { pool }] of [...pools].slice(0, warmTasks))
        pool.warm((error) => failed(name, error))
    },
    stop: async () => void (await Promise.all([...pools.values()].map(({ pool }) => pool.stop()))),
  }
}

function isolatedTask(app: App, definition: Definition): IsolatedTask | null {
  const { isolate, module: place, name } = definition
  if (isolate === null) return null
  if (place === null) {
    throw new ErrandError(
      'invalid-task',
      `${name} at ${definition.place} is to run in a ${isolate.kind}, which needs its module: isolate: { kind: '${isolate.kind}', module: import.meta.url }, or run: { module, export }, or a glob in \`tasks\`.`,
    )
  }
  const file = ownModule(
    isolate.kind === 'thread' ? 'fleet/isolated-thread' : 'fleet/isolated-process',
  )
  if (file === null) {
    throw new ErrandError(
      'no-thread',
      `${name} cannot be isolated: Errand is inside a bundle. Mark errand as external: see docs/with-your-tools.md.`,
    )
  }
  const load: Load = { task: name, place, context: app.contextPlace }
  const start = (): Child =>
    isolate.kind === 'thread'
      ? startThread(new URL(file), isolate, load)
      : startProcess(new URL(file), isolate, load)
  const pool = new Pool({ task: name, maxJobs: isolate.maxJobs, start })
  return new IsolatedTask(app, definition, pool, isolate.graceMs)
}

class IsolatedTask {
  readonly pool: Pool
  readonly #app: App
  readonly #definition: Definition
  readonly #graceMs: number

  constructor(app: App, definition: Definition, pool: Pool, graceMs: number) {
    this.#app = app
    this.#definition = definition
    this.pool = pool
    this.#graceMs = graceMs
  }

  handlerOf({ counters }: ClaimedJob): Handler<unknown, unknown, unknown> {
    return async (input, job) => {
      const taken = this.pool.take(job.signal)
      const member = taken instanceof Promise ? await taken : taken
      this.#refuseClasses(member)
      const run = (): Promise<unknown> => this.#run(member, input, job, counters.failures)
      // A child that has the task itself wraps by itself.
      return member.form === 'task' ? run() : wrapped(this.#definition.wrap, job, run)
    }
  }

  /** A function's errors reach the worker as copies, which no class fits. */
  #refuseClasses(member: Member): void {
    const { name, layer } = this.#definition
    if (member.form === 'task' || !isClassList(layer.retryWhen)) return
    this.pool.give(member)
    throw new ErrandError(
      'cannot-start',
      `${name} lists classes in retry.when, and its errors reach the worker as copies without their class. Let its module export the task itself, or look at error.name by a function.`,
    )
  }

  async #run(member: Member, input: unknown, job: RunningJob, failures: number): Promise<unknown> {
    const { child } = member
    const { signal } = job
    const remote = new RemoteJob(child, job)
    let stopKilling: (() => void) | null = null
    let isKilled = false
    const abort = (): void => {
      child.send({ kind: 'abort', reason: takeDown(signal.reason) })
      stopKilling = this.#app.store.clock.after(this.#graceMs, () => {
        isKilled = true
        child.kill()
      })
    }
    member.hear = (message) => remote.hear(message)
    member.died = (end) =>
      remote.died(childDied(job, isKilled ? killed(child, this.#graceMs, end) : end))
    child.output.begin((line) => job.log.info(line))
    try {
      const outputAs = this.#definition.output === null ? 'json' : 'value'
      try {
        remote.begin(fieldsOf(job, failures), input, outputAs)
      } catch (error) {
        return asInvalidInput(notCopied(job, error))
      }
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
      return await remote.ended
    } finally {
      signal.removeEventListener('abort', abort)
      ;(stopKilling as (() => void) | null)?.()
      if (child.kind === 'process') await readToEnd()
      child.output.end()
      this.pool.give(member)
    }
  }
}

/** What the process wrote before its last message is read in the same turn of the event loop. */
function readToEnd(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function killed({ kind }: Child, graceMs: number, { details }: ChildEnd): ChildEnd {
  const how = `it ignored its abort for ${graceMs} ms, and its ${kind} was killed`
  return { how, details }
}

function notCopied({ task }: RunningJob, cause: unknown): ErrandError {
  return new ErrandError(
    'invalid-input',
    `What the input schema of ${task} makes cannot be copied to where it runs: ${String(cause)}. Let it make plain data.`,
    { cause },
  )
}

function fieldsOf(job: RunningJob, failures: number): JobFields {
  const { id, task, queue, priority, attempt, token, parent, group, tags, headers } = job
  const { schedule, plannedAt, createdAt, dueAt } = job
  return {
    id,
    task,
    queue,
    priority,
    attempt,
    token,
    parent,
    group,
    tags,
    headers,
    schedule,
    plannedAt: plannedAt === null ? null : plannedAt.getTime(),
    createdAt: createdAt.getTime(),
    dueAt: dueAt.getTime(),
    failures,
  }
}

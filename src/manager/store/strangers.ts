/**
 * Jobs of callers who may enqueue and nothing else: their inputs are checked by the schemas of the tasks registry, and they reach no
 * other job.
 */
import { compileSchema, type JsonCheck } from '../../app/json-schema.ts'
import { nearest } from '../../core/nearest.ts'
import { isErrandError } from '../../core/errors.ts'
import { shownValue } from '../../core/shown.ts'
import { performance } from '../../core/timers.ts'
import type { InsertOptions } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { RegisteredTask } from '../../store/registry.ts'
import type { Store } from '../../store/store.ts'
import { Problem } from '../problem.ts'

/** How long the registry's entries are believed. */
const trustMs = 1_000

interface Known {
  readonly readAt: number
  /** By name and alias. */
  readonly tasks: ReadonlyMap<string, RegisteredTask>
}

const compiled = new Map<string, Promise<JsonCheck>>()
const mostCompiled = 10_000
const registries = new WeakMap<Store, Known>()

/** Rejects with the first job that may not come in so; `details.index` says which. */
export async function checkStrangers(
  store: Store,
  jobs: readonly NewJob[],
  options: InsertOptions | undefined,
): Promise<void> {
  if (options?.advance?.length) throw needsWork('moves records')
  for (const [index, job] of jobs.entries()) {
    try {
      await check(store, job)
    } catch (error) {
      if (!isErrandError(error)) throw error
      throw new Problem(error.code, `Job ${index}: ${error.message}`, {
        details: { ...error.details, index, id: job.id },
      })
    }
  }
}

async function check(store: Store, job: NewJob): Promise<void> {
  if (job.codec !== null) throw needsWork('has an input that a codec wrote')
  if (job.entry !== null) throw needsWork('does not wait its turn')
  if (job.needs.length > 0 || job.holds?.length) throw needsWork('waits for others')
  if (job.parent !== null) throw needsWork('has a parent')
  const task = await find(store, job.task)
  const input = parsed(job)
  if (task.inputSchema === null) return
  ;(await checkOf(task.inputSchema))(input)
}

function parsed({ input }: NewJob): unknown {
  try {
    return JSON.parse(input) as unknown
  } catch {
    throw new Problem('not-json', 'The input of a job is text that holds JSON.')
  }
}

function needsWork(what: string): Problem {
  return new Problem('forbidden', `A job that ${what} needs a token with the scope work.`)
}

async function find(store: Store, name: string): Promise<RegisteredTask> {
  const known = registries.get(store)
  const isFresh = known !== undefined && performance.now() - known.readAt < trustMs
  const found = isFresh ? known.tasks.get(name) : undefined
  if (found !== undefined) return found
  const tasks = new Map<string, RegisteredTask>()
  const entries = await store.tasks()
  for (const task of entries) for (const alias of task.aliases) tasks.set(alias, task)
  for (const task of entries) tasks.set(task.name, task)
  registries.set(store, { readAt: performance.now(), tasks })
  const task = tasks.get(name)
  if (task !== undefined) return task
  const meant = nearest(name, [...tasks.keys()])
  const advice = meant === null ? '' : ` Did you mean ${meant}?`
  throw new Problem('unknown-task', `No task ${shownValue(name)} is registered.${advice}`)
}

function checkOf(schema: string): Promise<JsonCheck> {
  let check = compiled.get(schema)
  if (check === undefined) {
    if (compiled.size >= mostCompiled) compiled.clear()
    // A schema that cannot be read stops no job: the worker checks the input once more.
    check = compileSchema(schema).catch(() => () => undefined)
    compiled.set(schema, check)
  }
  return check
}

/**
 * Random workflows while real processes are killed and stopped: workers around any call of their
 * store, at any time, and past their leases, and those that start runs. Then all of it is retried,
 * by processes that are killed as well. What is wrong after each is told in words.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 } from 'uuid'
import { openStore } from '../../src/cli/open-store.ts'
import { isFinal } from '../../src/core/job.ts'
import { createErrand, type Errand } from '../../src/index.ts'
import type { CallName } from '../../src/store/calls.ts'
import { between, draw, randomOf, whole, type Random } from '../chaos/random.ts'
import { makeFlow, type Run } from './flow.ts'
import type { Deadly, Part } from './process.ts'
import { blockedForEver, recordsOf, wrongsOf } from './verdict.ts'

export interface Plan {
  /** URL of an empty store. `sqlite:` for a file of the proof's own. */
  readonly store: string
  readonly seed: string
  readonly runs: number
  readonly nodes: number
  /** How many workers work at once. */
  readonly crew: number
  /** How many workers are killed or stopped, in each part of it. */
  readonly strikes: number
  /** Whether all that failed is retried once it has ended. */
  readonly retries: boolean
}

export interface Result {
  readonly kills: number
  readonly stops: number
  readonly nodes: number
  readonly wrong: readonly string[]
}

const leaseMs = 700
/** Longer than a lease and the sweep behind it. */
const stoppedMs = 2.5 * leaseMs
/** Longer than all of it should take. */
const patienceMs = 300_000
const lookMs = 100

/** Calls of a worker around which it is killed. */
const deadlyCalls: readonly CallName[] = [
  'claim',
  'settle',
  'settle',
  'settle',
  'rescue',
  'tend',
  'note',
]

/** Lives some runs through. Rejects when they do not end. */
export async function prove(plan: Plan): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-graphs-'))
  const store = plan.store === 'sqlite:' ? `sqlite:${join(folder, 'jobs.db')}` : plan.store
  const stage = new Stage(plan.crew, store, folder)
  const errand = createErrand({ store: await openStore(store) })
  const abandon = (): void => stage.abandon()
  process.once('exit', abandon)
  try {
    await errand.store.setup()
    return await live(plan, stage, errand)
  } finally {
    stage.abandon()
    process.removeListener('exit', abandon)
    await errand.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function live(plan: Plan, stage: Stage, errand: Errand): Promise<Result> {
  const random = randomOf(plan.seed)
  const { flow } = makeFlow(stage.ledger, stage.healed)
  const runs: Run[] = Array.from({ length: plan.runs }, (_, n) => {
    return { id: v7(), seed: `${plan.seed}/${n}`, size: plan.nodes }
  })
  const wrong: string[] = []
  const working = stage.work(random, plan.strikes)
  await stage.lives({ role: 'starter', runs, deadly: deadlyOn('insert', random, runs.length) })
  for (const run of runs) await errand.start(flow, run, { id: run.id })
  const cancelled = new Set<string>()
  await ended(errand, runs, async () => {
    if (random() < 0.3) for (const id of await cancelOne(errand, runs, random)) cancelled.add(id)
    wrong.push(...(await blockedForEver(errand)))
  })
  stage.over()
  await working
  const said = { ledger: stage.ledger, cancelled, before: new Set<string>(), isHealed: false }
  wrong.push(...(await wrongsOf(errand, runs, said)))

  if (plan.retries) wrong.push(...(await retryAll(plan, stage, errand, runs)))
  await stage.end()
  const nodes = (await errand.store.counts()).reduce((sum, { count }) => sum + count, 0)
  return { kills: stage.kills, stops: stage.stops, nodes, wrong: [...new Set(wrong)] }
}

/** Retries all that failed, with other workers, and returns what is wrong after that. */
async function retryAll(
  plan: Plan,
  stage: Stage,
  errand: Errand,
  runs: readonly Run[],
): Promise<readonly string[]> {
  const random = randomOf(`${plan.seed}/retry`)
  const wrong: string[] = []
  const before = await completedOf(errand, runs)
  writeFileSync(stage.healed, '')
  const working = stage.work(random, plan.strikes)
  await stage.lives({ role: 'retrier', runs, deadly: deadlyOn('retry', random, runs.length) })
  for (const { id } of runs) await errand.workflows.retry(id)
  await ended(errand, runs, async () => {
    wrong.push(...(await blockedForEver(errand)))
  })
  stage.over()
  await working
  const healed = { ledger: stage.ledger, cancelled: new Set<string>(), before, isHealed: true }
  return [...wrong, ...(await wrongsOf(errand, runs, healed))]
}

function deadlyOn(call: CallName, random: Random, most: number): Deadly {
  return { call, when: random() < 0.5 ? 'before' : 'after', on: whole(random, 1, most) }
}

/** Asks one node, and rarely a run, to end; returns the jobs that may end for it. */
async function cancelOne(
  errand: Errand,
  runs: readonly Run[],
  random: Random,
): Promise<readonly string[]> {
  const run = draw(random, runs)
  if (run === undefined) return []
  const ids = [...(await recordsOf(errand, run.id)).keys()]
  if (random() < 0.05) {
    await errand.workflows.cancel(run.id, 'enough')
    // What was added meanwhile may have been met as well.
    return [...ids, ...(await recordsOf(errand, run.id)).keys()]
  }
  const id = draw(
    random,
    ids.filter((one) => one !== run.id),
  )
  if (id === undefined) return []
  await errand.jobs.cancel(id)
  return [id]
}

/** Waits until all jobs of the runs are final, and looks at more meanwhile. */
async function ended(
  errand: Errand,
  runs: readonly Run[],
  look: () => Promise<void>,
): Promise<void> {
  const until = performance.now() + patienceMs
  for (;;) {
    const open = (await errand.jobs.counts()).filter(
      ({ state, count }) => count > 0 && !isFinal(state),
    )
    if (open.length === 0) return
    if (performance.now() > until) {
      const left = open.map(({ state, count }) => `${count} ${state}`).join(', ')
      throw new Error(`not ended: ${left} of runs ${runs.map(({ seed }) => seed).join(', ')}`)
    }
    await look()
    await sleep(lookMs)
  }
}

async function completedOf(errand: Errand, runs: readonly Run[]): Promise<ReadonlySet<string>> {
  const completed = new Set<string>()
  for (const { id } of runs)
    for (const job of (await recordsOf(errand, id)).values())
      if (job.state === 'completed') completed.add(job.id)
  return completed
}

/** The processes of a proof. */
class Stage {
  readonly ledger: string
  readonly healed: string
  kills = 0
  stops = 0
  readonly #store: string
  readonly #crew: number
  readonly #members = new Set<ChildProcess>()
  readonly #patient: ChildProcess[] = []
  #over = new AbortController()

  constructor(crew: number, store: string, folder: string) {
    this.ledger = join(folder, 'ledger')
    this.healed = join(folder, 'healed')
    writeFileSync(this.ledger, '')
    this.#store = store
    this.#crew = crew
  }

  /** Lets workers live and die, so often in all; those that come last stay. */
  async work(random: Random, strikes: number): Promise<void> {
    await this.end()
    this.#over = new AbortController()
    const { signal } = this.#over
    let left = strikes
    const lane = async (): Promise<void> => {
      while (left > 0 && !signal.aborted) {
        left -= 1
        await this.#strike(random, signal)
      }
      this.#patient.push(await this.#start({ role: 'worker', runs: [], deadly: null }))
    }
    await Promise.all(Array.from({ length: this.#crew }, lane))
  }

  /** There is nothing left to do: nobody is struck any more. */
  over(): void {
    this.#over.abort()
  }

  /** Starts a process of another kind and waits for its end, by its own hand or not. */
  async lives(of: Pick<Part, 'role' | 'runs' | 'deadly'>): Promise<void> {
    const child = await this.#start(of)
    await exited(child)
    if (child.signalCode === 'SIGKILL') this.kills += 1
  }

  /** Stops those that stayed. */
  async end(): Promise<void> {
    const all = this.#patient.splice(0)
    for (const child of all) child.send('stop')
    await Promise.all(all.map(exited))
  }

  abandon(): void {
    for (const child of this.#members) child.kill('SIGKILL')
  }

  async #strike(random: Random, signal: AbortSignal): Promise<void> {
    const rest = (ms: number): Promise<unknown> => sleep(ms, null, { signal }).catch(() => null)
    const kind = random()
    if (kind < 0.5) {
      const call = draw(random, deadlyCalls) ?? 'settle'
      const child = await this.#start({
        role: 'worker',
        runs: [],
        deadly: deadlyOn(call, random, 8),
      })
      await Promise.race([exited(child), rest(3 * leaseMs)])
      return this.#kill(child)
    }
    const child = await this.#start({ role: 'worker', runs: [], deadly: null })
    await rest(between(random, 0, leaseMs))
    if (kind < 0.75) {
      this.stops += 1
      child.kill('SIGSTOP')
      await rest(stoppedMs)
      child.kill('SIGCONT')
      await rest(between(random, 0, leaseMs))
    }
    await this.#kill(child)
  }

  async #kill(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL')
    await exited(child)
    this.kills += 1
  }

  /** Starts a process; a worker works then, or is dead already. */
  async #start(of: Pick<Part, 'role' | 'runs' | 'deadly'>): Promise<ChildProcess> {
    const { ledger, healed } = this
    const part: Part = { ...of, ledger, healed, leaseMs, store: this.#store }
    const child = fork(join(import.meta.dirname, 'process.ts'), [JSON.stringify(part)], {
      execArgv: ['--conditions=errand-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#members.add(child)
    child.once('exit', () => this.#members.delete(child))
    if (of.role === 'worker') await Promise.race([once(child, 'message'), exited(child)])
    return child
  }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

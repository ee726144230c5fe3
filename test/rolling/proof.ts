/**
 * Processes under load are restarted one after another, by a signal to the supervisor or to each of
 * them, or are killed; then the jobs are counted: each ran to its end, and was accepted once. A
 * restart by a signal costs nothing: each job ran once, in its first attempt.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/cli/open-store.ts'
import { createErrand, task, type AnyTask, type Errand } from '../../src/index.ts'
import { ledgerVariable, type Line, type Work } from './work.ts'

export type How = 'SIGUSR2' | 'SIGTERM' | 'SIGKILL'

export interface Plan {
  /** The store's URL; `sqlite:` for a file of the proof's own. */
  readonly store: string
  readonly processes: number
  /** Each of them restarts all processes once. */
  readonly rounds: readonly How[]
  /** Jobs enqueued at a time, each 50 ms. */
  readonly load: number
}

export interface Result {
  readonly jobs: number
  readonly runs: number
  /** Processes that were up in all. */
  readonly started: number
  readonly restarts: Readonly<Record<How, number>>
  readonly ms: number
  readonly wrong: readonly string[]
}

/** The processes that were killed, and since when. */
interface Killed {
  readonly pids: Set<number>
  since: number
}

const everyMs = 50
const longestMs = 400
const patienceMs = 120_000
const work: AnyTask = task({ name: 'work' })

/** The processes of one supervisor, by what their log says. */
class Fleet {
  readonly #supervisor: ChildProcess
  readonly #up = new Map<string, number>()
  #isOver = false
  started = 0

  constructor(processes: number, env: Readonly<Record<string, string>>) {
    const main = join(import.meta.dirname, '../../src/cli/main.ts')
    const config = join(import.meta.dirname, 'config.ts')
    const args = ['worker', '--processes', String(processes), '--config', config]
    this.#supervisor = spawn(process.execPath, ['--conditions=errand-source', main, ...args], {
      env: { ...process.env, ...env, ERRAND_LOG_LEVEL: 'info' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#supervisor.once('exit', () => (this.#isOver = true))
    createInterface(this.#supervisor.stdout as NodeJS.ReadableStream).on('line', (line) =>
      this.#read(line),
    )
  }

  get pids(): readonly number[] {
    return [...this.#up.values()]
  }

  signal(signal: NodeJS.Signals): void {
    this.#supervisor.kill(signal)
  }

  /** Waits until each place has a process that is none of these. */
  async staffed(places: number, without: readonly number[]): Promise<void> {
    await patiently('the processes are up again', () => {
      if (this.#isOver) throw new Error('the supervisor has ended')
      return this.#up.size === places && !this.pids.some((pid) => without.includes(pid))
    })
  }

  /** Resolves with its exit code. */
  async stop(): Promise<number | null> {
    const ended = once(this.#supervisor, 'exit')
    this.#supervisor.kill('SIGTERM')
    const [code] = (await ended) as [number | null]
    return code
  }

  kill(): void {
    this.#supervisor.kill('SIGKILL')
  }

  #read(text: string): void {
    const { name, pid, msg } = JSON.parse(text) as {
      readonly name: string
      readonly pid: number
      readonly msg: string
    }
    if (/^worker \S+ started/.test(msg)) {
      this.#up.set(name, pid)
      this.started++
    }
  }
}

export async function prove(plan: Plan): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-rolling-'))
  const ledger = join(folder, 'ledger')
  writeFileSync(ledger, '')
  const store = plan.store === 'sqlite:' ? `sqlite:${join(folder, 'jobs.db')}` : plan.store
  const errand = createErrand({ store: await openStore(store), tasks: [work] })
  await errand.store.setup()
  const since = performance.now()
  const fleet = new Fleet(plan.processes, { ERRAND_STORE: store, [ledgerVariable]: ledger })
  const end = (): void => fleet.kill()
  process.once('exit', end)
  const restarts: Record<How, number> = { SIGUSR2: 0, SIGTERM: 0, SIGKILL: 0 }
  const killed: Killed = { pids: new Set(), since: Infinity }
  try {
    await fleet.staffed(plan.processes, [])
    const rolled = new AbortController()
    const loading = load(errand, plan.load, rolled.signal)
    for (const how of plan.rounds) {
      await restart(fleet, plan.processes, how, killed)
      restarts[how] += plan.processes
    }
    rolled.abort()
    const ids = await loading
    await allEnded(errand, ids)
    const code = await fleet.stop()
    const lines = readLedger(ledger)
    const wrong = [...(await wrongsOf(errand, ids, lines, killed))]
    if (code !== 0) wrong.push(`the supervisor ended with exit code ${code}`)
    const runs = lines.filter(({ what }) => what === 'start').length
    const ms = performance.now() - since
    return { jobs: ids.length, runs, started: fleet.started, restarts, ms, wrong }
  } finally {
    process.removeListener('exit', end)
    fleet.kill()
    await errand.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Restarts all processes once: by one signal to the supervisor, or each by its own. */
async function restart(fleet: Fleet, places: number, how: How, killed: Killed): Promise<void> {
  const old = fleet.pids
  if (how === 'SIGUSR2') {
    fleet.signal(how)
    return fleet.staffed(places, old)
  }
  for (const pid of old) {
    if (how === 'SIGKILL') {
      killed.pids.add(pid)
      killed.since = Math.min(killed.since, Date.now())
    }
    process.kill(pid, how)
    await fleet.staffed(places, [pid])
  }
}

/** Enqueues jobs at a constant pace until the signal aborts; resolves with their ids. */
async function load(errand: Errand, each: number, signal: AbortSignal): Promise<readonly string[]> {
  const ids: string[] = []
  while (!signal.aborted) {
    const entries = Array.from({ length: each }, (_, i) => {
      const input: Work = { n: ids.length + i, ms: Math.round(Math.random() * longestMs) }
      return [work, input] as const
    })
    const jobs = await errand.enqueueMany(entries)
    ids.push(...jobs.map(({ id }) => id))
    await sleep(everyMs)
  }
  return ids
}

async function allEnded(errand: Errand, ids: readonly string[]): Promise<void> {
  let from = 0
  await patiently('all jobs end', async () => {
    while (from < ids.length) {
      const part = await errand.store.get(ids.slice(from, from + 500))
      const open = part.findIndex((job) => job === null || job.finishedAt === null)
      from += open < 0 ? part.length : open
      if (open >= 0) return false
    }
    return true
  })
}

async function patiently(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + patienceMs
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`It took too long until ${what}.`)
    await sleep(20)
  }
}

async function wrongsOf(
  errand: Errand,
  ids: readonly string[],
  lines: readonly Line[],
  killed: Killed,
): Promise<readonly string[]> {
  const wrong: string[] = []
  const runs = Map.groupBy(lines, ({ id }) => id)
  const known = new Set(ids)
  for (const id of runs.keys()) if (!known.has(id)) wrong.push(`${id} ran, and nobody enqueued it`)
  for (const [n, id] of ids.entries()) {
    const job = await errand.jobs.get(id)
    const own = runs.get(id) ?? []
    const say = (what: string): void => void wrong.push(`job ${n}, ${id}: ${what}`)
    if (job?.state !== 'completed' || job.output !== n)
      say(`is ${job?.state} with ${JSON.stringify(job?.output)}`)
    const starts = own.filter(({ what }) => what === 'start')
    const lost = starts.filter(({ pid }) => killed.pids.has(pid))
    // A run whose process was killed may be repeated; every other one is the last.
    if (starts.length - lost.length > 1) say(`ran ${starts.length} times`)
    if (!own.some(({ what }) => what === 'end')) say('has not run to its end')
    if (job?.interruptions !== 0 || job.failures !== 0)
      say(`interrupted ${job?.interruptions}, failed ${job?.failures}`)
    // Later, one that was handed out and never ran may have been lost with its process.
    const isBefore = (job?.finishedAt?.getTime() ?? Infinity) < killed.since
    if (isBefore && (job?.losses !== 0 || starts[0]?.attempt !== 1))
      say(`lost ${job?.losses}, in attempts ${starts.map(({ attempt }) => attempt).join()}`)
    const tokens = starts.map(({ token }) => token)
    if (tokens.some((token, i) => i > 0 && token <= (tokens[i - 1] ?? 0)))
      say(`its tokens do not grow: ${tokens.join()}`)
  }
  return wrong
}

function readLedger(ledger: string): readonly Line[] {
  const texts = readFileSync(ledger, 'utf8').split('\n').slice(0, -1)
  return texts.map((text) => JSON.parse(text) as Line)
}

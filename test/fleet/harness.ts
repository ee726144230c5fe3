/** Runs supervisors as real processes, and looks at theirs. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task, type Errand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { makeProject, start, type Running } from '../cli/command-line.ts'

/** Its tasks: `nap` takes so long, `spin` blocks its event loop for ever, `hold` fills memory. */
export const configText = `
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'
const held = []
const nap = task({ name: 'nap', run: async (ms: number, job) => {
  job.progress(process.pid)
  await new Promise((resolve) => setTimeout(resolve, ms))
  return process.pid
} })
const wait = task({ name: 'wait', run: (_: undefined, job) => new Promise((_resolve, reject) => {
  job.progress(process.pid)
  job.signal.addEventListener('abort', () => reject(job.signal.reason))
}) })
const spin = task({ name: 'spin', run: async (_: undefined, job) => {
  job.progress(process.pid)
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (;;) {}
} })
const hold = task({ name: 'hold', run: (mb: number) => { held.push(Buffer.alloc(mb * 2 ** 20, 1)) } })
export default createErrand({ store: sqlite('errand.db'), tasks: [nap, wait, spin, hold] })
`

/** A line of the log of a supervisor or one of its processes. */
export interface LogLine {
  readonly level: number
  readonly time: number
  readonly pid: number
  readonly name: string
  readonly msg: string
}

export interface Fleet {
  readonly cwd: string
  readonly supervisor: Running
  /** An app on the same store, without handlers. */
  readonly errand: Errand
  readonly log: () => readonly LogLine[]
  /** The processes that are up, by their places. */
  readonly pids: () => readonly number[]
  /** Resolves with the pids once each place has a process, none of them one of these. */
  readonly staffed: (without?: readonly number[]) => Promise<readonly number[]>
}

/** Starts `errand worker` in a folder of its own, and waits until so many processes are up. */
export async function startFleet(
  t: TestContext,
  processes: number,
  args: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<Fleet> {
  const cwd = await makeProject(t, { 'errand.config.ts': configText, ...files })
  const supervisor = start(['worker', ...args], { cwd })
  const log = (): LogLine[] => linesOf(supervisor)
  t.after(async () => {
    supervisor.kill('SIGKILL')
    await supervisor.ended
  })
  const names = ['nap', 'wait', 'spin', 'hold', 'loops', 'sleeps']
  const errand = createErrand({
    store: sqlite(join(cwd, 'errand.db')),
    tasks: names.map((name) => task({ name })),
  })
  t.after(() => errand.close())
  const pids = (): number[] => {
    const latest = new Map<string, number>()
    for (const { name, pid, msg } of log())
      if (/^worker \S+ started/.test(msg)) latest.set(name, pid)
    return [...latest.values()].filter(isAlive)
  }
  const staffed = async (without: readonly number[] = []): Promise<readonly number[]> => {
    await until(() => pids().length === processes && !pids().some((pid) => without.includes(pid)))
    return pids()
  }
  await staffed()
  return { cwd, supervisor, errand, log, pids, staffed }
}

export function linesOf(running: Running): LogLine[] {
  const lines = running.written().split('\n').slice(0, -1)
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine)
}

/** Whether a process runs: neither gone nor a zombie that nobody has reaped yet. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** What `ps` shows of a process. */
export function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()
}

/** Looks until something holds. */
export async function until(holds: () => unknown, what = 'it'): Promise<void> {
  const late = performance.now() + 50_000
  while (!(await holds())) {
    assert.ok(performance.now() < late, `${what} does not come about`)
    await sleep(20)
  }
}

/** The pid of the process that runs a job, once it does. */
export async function runner(errand: Errand, id: string): Promise<number> {
  let pid: unknown = null
  await until(async () => {
    pid = (await errand.jobs.get(id))?.progress ?? null
    return pid !== null
  }, `the start of ${id}`)
  return pid as number
}

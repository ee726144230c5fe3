/** Measures what an idle worker costs: its share of a CPU, and the system calls of all its threads. */
import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { noCounters } from '../../src/core/job.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

export interface IdleOptions {
  readonly seconds: number
  readonly queues: number
  readonly finished: number
}

export interface Idle {
  readonly cpuPercent: number
  /** Null where `strace` is not installed. */
  readonly callsPerSecond: number | null
  /** The table of `strace -c`. */
  readonly table: string
}

const batch = 1_000

/** Counts system calls; not a dependency, and not on every machine. */
const tracer = 'strace'

/** Fills a file with finished jobs and starts a worker on it; measures its CPU first, its system calls after that. */
export async function measureIdle({ seconds, queues, finished }: IdleOptions): Promise<Idle> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-idle-'))
  const file = join(folder, 'errand.db')
  let worker: ChildProcess | null = null
  try {
    await fill(file, finished, queues)
    worker = fork(new URL('./worker.ts', import.meta.url), [JSON.stringify({ file, queues })], {
      execArgv: ['--conditions=errand-source'],
    })
    await once(worker, 'message')
    const pid = worker.pid ?? 0
    await sleep(3_000)
    const before = cpuSeconds(pid)
    await sleep(seconds * 1_000)
    const cpuPercent = ((cpuSeconds(pid) - before) / seconds) * 100
    return { cpuPercent, ...(await systemCalls(pid, seconds)) }
  } finally {
    worker?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function fill(file: string, finished: number, queues: number): Promise<void> {
  const store = sqlite(file)
  for (let from = 0; from < finished; from += batch) {
    await store.insert(
      Array.from({ length: Math.min(batch, finished - from) }, (_, i) => ({
        id: uuidv7(),
        task: 'done',
        queue: `queue-${i % queues}`,
        priority: 0,
        input: '{"path":"a/b/c"}',
        codec: null,
        options: null,
        parent: null,
        group: null,
        tags: [],
        headers: {},
        delayMs: 0,
        runAt: null,
        startWithinMs: null,
        deadlineMs: null,
        keepCancelledMs: null,
        unique: null,
        needs: [],
        entry: null,
      })),
    )
    const { jobs } = await store.claim({
      worker: 'fill',
      queues: [],
      others: batch,
      limit: batch,
      leaseMs: 60_000,
      maxLosses: null,
      id: null,
    })
    await store.settle(
      jobs.map(({ id, token }) => ({
        kind: 'finish',
        id,
        token,
        yieldsToCancel: false,
        counters: { ...noCounters, attempts: 1 },
        attempt: null,
        followUps: [],
        state: 'completed',
        output: '{"ok":true}',
        reason: null,
        keepMs: 86_400_000,
        startedAgoMs: 1,
      })),
    )
  }
  await store.close()
}

/** User and system time of a process, from /proc. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const ticks = Number(fields[11]) + Number(fields[12])
  return ticks / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
}

async function systemCalls(
  pid: number,
  seconds: number,
): Promise<Pick<Idle, 'callsPerSecond' | 'table'>> {
  const strace = spawn(tracer, ['-c', '-f', '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let table = ''
  strace.stderr.on('data', (data: Buffer) => (table += data.toString()))
  const started = await Promise.race([
    once(strace, 'spawn').then(() => true),
    once(strace, 'error').then(() => false),
  ])
  if (!started) return { callsPerSecond: null, table: 'strace is not installed' }
  await sleep(seconds * 1_000)
  strace.kill('SIGINT')
  await once(strace, 'close')
  const total = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?total$/m.exec(table)
  return { callsPerSecond: total === null ? null : Number(total[1]) / seconds, table }
}

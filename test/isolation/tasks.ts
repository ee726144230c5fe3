/** Handlers that tests of isolation run in threads and processes, good ones and bad ones. Loads in no time. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import type { AnyTask, RunningJob } from 'errand'

export function add({ a, b }: { readonly a: number; readonly b: number }): {
  readonly sum: number
} {
  return { sum: a + b }
}

export async function talks(name: string, job: RunningJob): Promise<object> {
  job.log.info('hello', { name })
  job.progress({ done: 1 })
  job.progress({ done: 2 })
  console.log('on the console')
  process.stderr.write('an error\nand half a line')
  const id = await job.enqueue('later', { from: job.id }, { delay: '1h', tags: ['mine'] })
  const called = await job.call('double', 21)
  return { id, called, attempt: job.attempt, ownContext: job.context }
}

export async function waits(_input: unknown, job: RunningJob): Promise<never> {
  job.progress('waits')
  await delay(3_600_000, undefined, { signal: job.signal }).catch(() => undefined)
  throw job.signal.reason
}

export function loops(_input: unknown, job: RunningJob): never {
  job.progress('loops')
  for (;;);
}

export async function deaf(_input: unknown, job: RunningJob): Promise<void> {
  job.progress('deaf')
  await delay(3_600_000)
}

export function allocates(): never {
  const all: unknown[] = []
  for (;;) all.push(Array.from({ length: 1_000 }, (_, i) => ({ i })))
}

export function exits(): never {
  console.error('about to exit')
  process.exit(7)
}

export function throwsText(): never {
  // oxlint-disable-next-line typescript/only-throw-error -- what a handler may do
  throw 'not an error'
}

class NotFound extends Error {
  override readonly name = 'NotFound'
  readonly code = 'E_GONE'
}

export function throwsError(): never {
  throw new NotFound('no such picture', { cause: new Error('the disk is full') })
}

export async function failsLater(): Promise<void> {
  setTimeout(() => {
    throw new Error('from a timer')
  }, 1)
  await delay(3_600_000)
}

export async function hangsUp(): Promise<void> {
  if (parentPort === null) process.disconnect?.()
  else parentPort.close()
  await delay(3_600_000)
}

export function kills(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => undefined)
}

export function returnsFunction(): unknown {
  return { run: () => undefined }
}

export function returnsMuch(): string {
  return 'x'.repeat(2_000_000)
}

export function environment(): object {
  return { secret: process.env['ERRAND_TEST_SECRET'] ?? null, path: 'PATH' in process.env }
}

export function place(): object {
  return { pid: process.pid, title: process.title, argv: process.argv, execArgv: process.execArgv }
}

export function reads(path: string): string {
  return readFileSync(path, 'utf8')
}

export const notAFunction = 42

let runs = 0
export function counts(): number {
  return ++runs
}

export function makeContext(): object {
  return { madeIn: process.pid }
}

/** Longer than any test waits, and not for ever, should nothing end it. */
const longMs = 120_000

/** A process that would outlive this one. */
function startAnother(job: RunningJob): void {
  const { pid } = spawn('sleep', [String(longMs / 1_000)], { stdio: 'ignore' })
  job.progress(`${process.pid} ${pid}`)
}

export function loopsAsOrphan(_input: unknown, job: RunningJob): void {
  startAnother(job)
  const end = performance.now() + longMs
  while (performance.now() < end);
}

export async function waitsAsOrphan(_input: unknown, job: RunningJob): Promise<void> {
  startAnother(job)
  await delay(longMs)
}

/** Adds nodes to its workflow, of which one takes what the other returns. */
export async function adds(_input: unknown, job: RunningJob): Promise<void> {
  // Only its name crosses.
  const double = { name: 'double' } as AnyTask
  const four = await job.workflow.add('four', double, 2)
  await job.workflow.add('eight', double, four.output)
}

/** Runs any of these that leave their child as it was. */
export function any(
  { name, input }: { readonly name: keyof typeof harmless; readonly input?: never },
  job: RunningJob,
): unknown {
  return harmless[name](input as never, job)
}

const harmless = {
  add,
  talks,
  waits,
  throwsText,
  throwsError,
  returnsFunction,
  returnsMuch,
  environment,
  place,
}

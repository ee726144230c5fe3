/** Starts processes for tests and ends those that it started. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { endsWithThis } from '../ends.ts'
import type { ChildOptions } from './child.ts'

/** Starts a process; resolves once it has told that it is up. It is killed when the test ends. */
export async function startProcess(
  t: TestContext,
  module: string,
  options: unknown,
): Promise<ChildProcess> {
  const child = fork(new URL(module, import.meta.url), [JSON.stringify(options)], {
    execArgv: ['--conditions=errand-source'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  endsWithThis(child)
  t.after(() => child.kill('SIGKILL'))
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => ['exited']),
  ])) as [unknown]
  if (message !== 'up') throw new Error(`${module} did not come up: ${String(message)}`)
  return child
}

/** Keeps a number of worker processes alive: one that died is replaced. Answers how many were started so far. */
export async function keepWorkers(
  t: TestContext,
  count: number,
  options: ChildOptions,
): Promise<() => number> {
  let started = 0
  let isOver = false
  t.after(() => (isOver = true))
  const start = async (): Promise<void> => {
    started++
    const child = await startProcess(t, './child.ts', options).catch(() => null)
    if (child === null || child.exitCode !== null || child.signalCode !== null) return restart()
    child.once('exit', restart)
  }
  const restart = (): void => {
    if (!isOver) setTimeout(() => void start(), 100)
  }
  await Promise.all(Array.from({ length: count }, start))
  return () => started
}

/** Starts `holder.ts` and hears what it says. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import type { HolderLine, HolderTask } from './holder.ts'

export interface HolderProcess {
  readonly lines: readonly HolderLine[]
  kill(signal: NodeJS.Signals): void
  /** Resolves when it holds; looked at after each line. Rejects when the process has ended. */
  until(holds: () => boolean): Promise<void>
}

export function startHolder(
  t: TestContext,
  task: HolderTask,
  {
    args = [],
    env = {},
  }: { readonly args?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
): HolderProcess {
  const file = join(import.meta.dirname, 'holder.ts')
  const child = spawn(
    process.execPath,
    ['--conditions=errand-source', ...args, file, JSON.stringify(task)],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
  )
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const lines: HolderLine[] = []
  let looks: (() => void)[] = []
  const look = (): void => {
    const waiting = looks
    looks = []
    for (const one of waiting) one()
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as HolderLine)
    look()
  })
  let isOver = false
  void ended.then(() => {
    isOver = true
    look()
  })
  return {
    lines,
    kill: (signal) => void child.kill(signal),
    async until(holds) {
      while (!holds()) {
        if (isOver) throw new Error(`the holder ended: ${JSON.stringify(lines)}`)
        await new Promise<void>((resolve) => looks.push(resolve))
      }
    },
  }
}

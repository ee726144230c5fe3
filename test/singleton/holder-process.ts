/** Starts `holder.ts` and hears what it says. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { endsWithThis } from '../ends.ts'
import { comesTrue } from './comes-true.ts'
import type { HolderLine, HolderTask } from './holder.ts'

export interface HolderProcess {
  readonly lines: readonly HolderLine[]
  kill(signal: NodeJS.Signals): void
  /** Resolves once it holds. Rejects when the process has ended before. */
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
  endsWithThis(child)
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const lines: HolderLine[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as HolderLine)
  })
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  return {
    lines,
    kill: (signal) => void child.kill(signal),
    async until(holds) {
      await comesTrue(
        () => isOver || holds(),
        () => lines,
      )
      if (!holds()) throw new Error(`the holder ended: ${JSON.stringify(lines)}`)
    },
  }
}

/** A manager in a process of its own, which may be killed and started again on its port. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '../services.ts'

const cli = join(import.meta.dirname, '../../src/cli/main.ts')

/** How long a start may take on a machine that is busy. */
const startMs = 60_000

/** How long it may take to end when it is asked to. */
const endMs = 3_000

export interface ManagerProcess {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Rejects when it is not ready in time. */
  start(): Promise<void>
  /** Resolves when the process has ended. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

export async function startManager(
  store: string,
  more: readonly string[] = [],
): Promise<ManagerProcess> {
  const port = await freePort()
  let child: ChildProcess
  async function start(): Promise<void> {
    child = spawn(
      process.execPath,
      [
        '--conditions=errand-source',
        cli,
        'serve',
        '--store',
        store,
        '--port',
        String(port),
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const lines = createInterface({ input: child.stdout! })
    const timer = setTimeout(() => child.kill('SIGKILL'), startMs)
    for await (const line of lines) {
      if (!line.includes(`http://127.0.0.1:${port}`)) continue
      clearTimeout(timer)
      lines.on('line', () => undefined)
      // Nobody reads on, and a full pipe would stop it.
      child.stdout!.resume()
      return
    }
    throw new Error('the manager does not start')
  }
  await start()
  return {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get port() {
      return port
    },
    get pid() {
      return child.pid ?? 0
    },
    start,
    async end(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill(signal)
      // As whoever supervises it does: connections that have fallen silent may hold up its end.
      const late = setTimeout(() => child.kill('SIGKILL'), endMs)
      await ended
      clearTimeout(late)
    },
  }
}

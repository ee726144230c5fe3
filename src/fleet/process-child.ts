/** Isolated children that are processes. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Readable } from 'node:stream'
import type { Isolation } from '../core/isolate.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'
import { lastLines } from '../worker/captured-output.ts'
import { childEnv } from '../worker/child-env.ts'
import { groupStarter, killAtExit, ownGroup, signalGroup } from '../worker/process-group.ts'
import { Output, ofMemory, type Child, type ChildEnd } from './child.ts'
import { processOptions } from './exec-argv.ts'
import type { FromChild, Load } from './messages.ts'

/** How long a process that has closed its channel may take to end. */
const channelMs = 500
/** How long what is left of its group may keep its streams open after it has ended. */
const leftOpenMs = 500

/** Starts a process from the file of its program. It learns what to load once it runs. */
export function startProcess(file: URL, isolation: Isolation, load: Load): Child {
  const { env, execPath, memoryMb } = isolation
  const files = [new URL('.', file).href, new URL('..', file).href].map((url) => `${url}index.js`)
  const program = execPath ?? process.execPath
  const options = processOptions(isolation, [...files, load.place.url])
  // A program of the task's own may be missing, which shows only when it is started directly.
  const starter = execPath === null ? groupStarter() : null
  const child = fork(fileURLToPath(file), [], {
    ...(starter === null ? ownGroup : {}),
    execPath: starter ?? program,
    execArgv: starter === null ? [...options] : ['0', program, ...options],
    env: childEnv(env),
    serialization: 'advanced',
    // The last one is open for as long as this process lives: see orphan-watch.ts.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc', 'pipe'],
  })
  killAtExit(child)
  const output = new Output()
  const streams = [child.stdout, child.stderr] as readonly (Readable | null)[]
  for (const stream of streams) stream?.on('data', (chunk: Buffer) => output.push(chunk))
  child.stdio[4]?.on('error', () => undefined)

  const { promise: ended, resolve: end } = Promise.withResolvers<ChildEnd>()
  let isAlive = true
  let why: string | null = null
  let timer: NodeJS.Timeout | undefined
  child.once('error', (cause) => {
    // It was never started, or a message did not reach it: then it ends as well.
    if (child.pid === undefined) {
      isAlive = false
      end({ how: `its process did not start: ${cause.message}`, details: {}, cause })
    }
  })
  child.once('disconnect', () => {
    timer = setTimeout(() => {
      why = 'its process closed its channel and was killed'
      signalGroup(child, 'SIGKILL')
    }, channelMs)
  })
  child.once('exit', () => {
    isAlive = false
    clearTimeout(timer)
    // Whatever it has started goes with it.
    signalGroup(child, 'SIGKILL')
    timer = setTimeout(() => streams.forEach((stream) => stream?.destroy()), leftOpenMs)
  })
  child.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
    clearTimeout(timer)
    child.stdio[4]?.destroy()
    const over = (): void => {
      clearTimeout(timer)
      end(endOf({ code, signal, why }, output.tail.text, memoryMb))
    }
    if (!child.connected) return over()
    // What it said last is not read yet.
    child.once('disconnect', over)
    timer = setTimeout(over, leftOpenMs)
  })
  const result: Child = {
    kind: 'process',
    output,
    ended,
    listen: (hear) => void child.on('message', (message) => hear(message as FromChild)),
    send(message) {
      // What fails to be sent shows in the end of the process; only what cannot be copied throws.
      if (child.connected) child.send(message, () => undefined)
    },
    kill() {
      if (isAlive) signalGroup(child, 'SIGKILL')
    },
  }
  if (child.pid !== undefined) result.send({ kind: 'load', ...load })
  return result
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly why: string | null
}

function endOf({ code, signal, why }: Exit, tail: string, memoryMb: number | null): ChildEnd {
  const details = { exitCode: code, signal, stderr: tail }
  if (/JavaScript heap out of memory/.test(tail))
    return { how: `its process ran out of its memory${ofMemory(memoryMb)}`, details }
  const words = lastLines(tail)
  const last = words === '' ? '' : `; it wrote: ${words}`
  if (why !== null) return { how: `${why}${last}`, details }
  if (signal !== null) return { how: `its process was ended by ${signal}${last}`, details }
  return { how: `its process ended with exit code ${code}${last}`, details }
}

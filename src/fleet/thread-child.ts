/** Isolated children that are threads. */
import { Worker as Thread } from 'node:worker_threads'
import type { Isolation } from '../core/isolate.ts'
import { errorText } from '../core/kept-error.ts'
import { childEnv } from '../worker/child-env.ts'
import { Output, ofMemory, type Child, type ChildEnd } from './child.ts'
import { moduleOptions } from './exec-argv.ts'
import type { FromChild, Load } from './messages.ts'

/** Starts a thread from the file of its program. Throws when Node refuses its options. */
export function startThread(file: URL, isolation: Isolation, load: Load): Child {
  const { env, execArgv, memoryMb } = isolation
  const thread = new Thread(file, {
    workerData: load,
    env: childEnv(env),
    execArgv: [...(execArgv ?? moduleOptions(process.execArgv))],
    stdout: true,
    stderr: true,
    name: `errand ${load.task}`.slice(0, 60),
    ...(memoryMb === null ? {} : { resourceLimits: { maxOldGenerationSizeMb: memoryMb } }),
  })
  const output = new Output()
  for (const stream of [thread.stdout, thread.stderr])
    stream.on('data', (chunk: Buffer) => output.push(chunk))
  let failure: { readonly error: unknown } | null = null
  thread.on('error', (error) => (failure = { error }))
  return {
    kind: 'thread',
    output,
    ended: new Promise((resolve) =>
      thread.once('exit', (code) => resolve(endOf(code, failure, memoryMb))),
    ),
    listen: (hear) => void thread.on('message', (message: FromChild) => hear(message)),
    send: (message) => thread.postMessage(message),
    kill: () => void thread.terminate(),
  }
}

function endOf(
  code: number,
  failure: { readonly error: unknown } | null,
  memoryMb: number | null,
): ChildEnd {
  if (failure === null)
    return { how: `its thread ended with exit code ${code}`, details: { exitCode: code } }
  const { error } = failure
  if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY')
    return { how: `its thread ran out of its memory${ofMemory(memoryMb)}`, details: { memoryMb } }
  return { how: `its thread failed: ${errorText(error)}`, details: {}, cause: error }
}

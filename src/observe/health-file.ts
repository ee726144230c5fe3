/**
 * The health of a process as a file, for probes that run a command: the file exists, and is only
 * seconds old, while the workers are well and the event loop turns.
 */
import { rename, rm, writeFile } from 'node:fs/promises'
import { sleep } from '../core/clock.ts'
import type { Store } from '../store/store.ts'
import { healthOf } from './health.ts'
import { hubOf } from './hub-of.ts'

const everyMs = 5_000

/** Keeps the file until it is stopped, which removes it. A failure to write it is reported once. */
export function keepHealthFile(
  errand: { readonly store: Store },
  path: string,
): () => Promise<void> {
  const stop = new AbortController()
  let isTold = false
  const write = async (): Promise<void> => {
    try {
      const { isReady } = healthOf(errand)
      if (isReady) await put(path)
      else await rm(path, { force: true })
      isTold = false
    } catch (error) {
      if (!isTold) hubOf(errand).warn('health-file', { path, error })
      isTold = true
    }
  }
  const keeping = (async () => {
    while (!stop.signal.aborted) {
      await write()
      await sleep(errand.store.clock, everyMs, stop.signal)
    }
  })()
  return async () => {
    stop.abort()
    await keeping
    await rm(path, { force: true }).catch(() => undefined)
  }
}

/** By a rename, so that readers never see half a file. */
async function put(path: string): Promise<void> {
  const next = `${path}.${process.pid}`
  await writeFile(next, `${JSON.stringify({ status: 'ok', pid: process.pid })}\n`)
  await rename(next, path)
}

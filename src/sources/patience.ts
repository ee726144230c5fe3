/** Waits for servers that may never answer. */
import { clearTimeout, setTimeout } from '../core/timers.ts'

/** Waits for work for so long, and not beyond an abort; then rejects with what `late` makes. */
export function within<T>(
  work: Promise<T>,
  ms: number,
  late: () => unknown,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      end()
      reject(late())
    }
    const timer = setTimeout(giveUp, ms)
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
    }
    if (signal?.aborted) return giveUp()
    signal?.addEventListener('abort', giveUp, { once: true })
    work.then(
      (value) => {
        end()
        resolve(value)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}

/** Waits for the end of work, whatever it is, for so long at most. */
export async function briefly(work: Promise<unknown>, ms: number): Promise<void> {
  await within(work, ms, () => undefined).catch(() => undefined)
}

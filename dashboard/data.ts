/** What a page reads: loaded when it opens, and again when something has happened. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { backOffMs, isAway, Problem } from './api.ts'
import { session } from './session.ts'
import { listen } from './stream.ts'

export interface Loaded<T> {
  /** What was read last; undefined before the first answer. */
  readonly data: T | undefined
  /** Why the last reading failed; null when it did not. */
  readonly error: Error | null
  readonly isLoading: boolean
  readonly reload: () => void
}

interface Options {
  /** Which events make it read again. Default: all. */
  readonly on?: (kind: string, data: string) => boolean
  /** How often it is read although nothing was heard, in ms; 0 for never. */
  readonly everyMs?: number
  /** Whether what another key gave is shown until this one's answer is there. */
  readonly keeps?: boolean
}

/**
 * How long a page rests between two readings because of events: so many times as long as the last one took, within bounds. A
 * manager that is slow for once is asked again soon.
 */
const pace = { leastMs: 1_500, mostMs: 30_000, share: 20 } as const

const unread = { data: undefined, error: null, isLoading: true } as const

/** Reads with `load` whenever `key` changes, on events, and now and then. */
export function useData<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  { on = () => true, everyMs = 15_000, keeps = false }: Options = {},
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload'> & { key: string }>(() => ({
    key,
    ...unread,
  }))
  const again = useRef<() => void>(() => undefined)
  useEffect(() => {
    const gone = new AbortController()
    let isBusy = false
    let isDue = false
    let last = 0
    let tookMs = 0
    let failures = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async (): Promise<void> => {
      if (isBusy) return void (isDue = true)
      isBusy = true
      last = Date.now()
      try {
        const data = await load(gone.signal)
        failures = 0
        if (!gone.signal.aborted) setState({ key, data, error: null, isLoading: false })
      } catch (error) {
        if (gone.signal.aborted) return
        failures += 1
        // What is away comes back; what is refused does not change by asking again.
        isDue ||= isAway(error)
        if (error instanceof Problem && error.status === 401) session.value = 'needed'
        setState((old) => ({
          key,
          data: old.key === key || keeps ? old.data : undefined,
          error: error as Error,
          isLoading: false,
        }))
      } finally {
        isBusy = false
        tookMs = Date.now() - last
        if (isDue && !gone.signal.aborted) soon()
        isDue = false
      }
    }
    const restMs = (): number => {
      const paced = Math.min(pace.mostMs, Math.max(pace.leastMs, pace.share * tookMs))
      const restMs = failures > 0 ? backOffMs(failures) : paced
      return Math.max(0, last + tookMs + restMs - Date.now())
    }
    const soon = (): void => {
      if (document.hidden) return
      clearTimeout(timer)
      timer = setTimeout(() => void read(), restMs())
    }
    again.current = () => void read()
    setState((old) => (old.key === key || keeps ? old : { key, ...unread }))
    void read()
    const leave = listen((kind, data) => {
      if (on(kind, data)) soon()
    })
    const seen = (): void => {
      if (document.hidden) clearTimeout(timer)
      else if (everyMs > 0 || failures > 0) soon()
    }
    document.addEventListener('visibilitychange', seen)
    const slow = everyMs === 0 ? undefined : setInterval(soon, everyMs)
    return () => {
      gone.abort()
      clearTimeout(timer)
      clearInterval(slow)
      document.removeEventListener('visibilitychange', seen)
      leave()
    }
  }, [key])
  const shown = state.key === key || keeps ? state : unread
  return { ...shown, reload: () => again.current() }
}

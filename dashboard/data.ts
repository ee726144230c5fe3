/** What a page reads: loaded when it opens, and again when something has happened. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { Problem } from './api.ts'
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
}

/** The least time between two readings because of events, and how much longer than the last reading took. */
const pace = { leastMs: 1_500, share: 20 } as const

/** Reads with `load` whenever `key` changes, on events, and now and then. */
export function useData<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  { on = () => true, everyMs = 15_000 }: Options = {},
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload'> & { key: string }>(() => ({
    key,
    data: undefined,
    error: null,
    isLoading: true,
  }))
  const again = useRef<() => void>(() => undefined)
  useEffect(() => {
    const gone = new AbortController()
    let isBusy = false
    let isDue = false
    let last = 0
    let tookMs = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async (): Promise<void> => {
      if (isBusy) return void (isDue = true)
      isBusy = true
      last = Date.now()
      try {
        const data = await load(gone.signal)
        if (!gone.signal.aborted) setState({ key, data, error: null, isLoading: false })
      } catch (error) {
        if (gone.signal.aborted) return
        if (error instanceof Problem && error.status === 401) session.value = 'needed'
        setState((old) => ({
          key,
          data: old.key === key ? old.data : undefined,
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
    const restMs = (): number =>
      Math.max(0, last + Math.max(pace.leastMs, pace.share * tookMs) - Date.now())
    const soon = (): void => {
      if (document.hidden) return
      clearTimeout(timer)
      timer = setTimeout(() => void read(), restMs())
    }
    again.current = () => void read()
    setState((old) =>
      old.key === key ? old : { key, data: undefined, error: null, isLoading: true },
    )
    void read()
    const leave = listen((kind, data) => {
      if (on(kind, data)) soon()
    })
    const slow = everyMs === 0 ? undefined : setInterval(soon, everyMs)
    return () => {
      gone.abort()
      clearTimeout(timer)
      clearInterval(slow)
      leave()
    }
  }, [key])
  const shown = state.key === key ? state : { data: undefined, error: null, isLoading: true }
  return { ...shown, reload: () => again.current() }
}

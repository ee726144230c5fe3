/** The one stream of events. It is closed while nobody looks, and comes back when somebody does. */
import { signal } from '@preact/signals'
import { urlOf } from './api.ts'

export type Live = 'open' | 'lost' | 'paused'

/** How the stream is. */
export const live = signal<Live>('lost')

type Listener = (kind: 'job' | 'queue' | 'gone', data: string) => void

const listeners = new Set<Listener>()
let source: EventSource | null = null
let address = ''
let isWanted = false
let retryMs = 1_000
let retry: ReturnType<typeof setTimeout> | undefined

/** Hears events until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** Follows some jobs, or everything; leaves what was followed before. */
export function follow(query: Readonly<Record<string, string>> = {}): void {
  const wanted = urlOf('v1/events', query).href
  isWanted = true
  if (wanted === address && source !== null) return
  address = wanted
  open()
}

export function unfollow(): void {
  isWanted = false
  close()
}

function close(): void {
  clearTimeout(retry)
  source?.close()
  source = null
}

function open(): void {
  close()
  if (document.hidden) {
    live.value = 'paused'
    return
  }
  const mine = new EventSource(address)
  source = mine
  mine.addEventListener('open', () => {
    live.value = 'open'
    retryMs = 1_000
  })
  for (const kind of ['job', 'queue', 'gone'] as const)
    mine.addEventListener(kind, (event) => {
      for (const listener of listeners) listener(kind, event.data as string)
    })
  mine.addEventListener('error', () => {
    live.value = 'lost'
    // A browser gives up on a refusal for good; the manager may only be restarting.
    if (mine.readyState !== EventSource.CLOSED) return
    retry = setTimeout(open, retryMs)
    retryMs = Math.min(retryMs * 2, 30_000)
  })
}

document.addEventListener('visibilitychange', () => {
  if (!isWanted) return
  if (!document.hidden) open()
  else {
    close()
    live.value = 'paused'
  }
})

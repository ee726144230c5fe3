/** A stream of hints for one process: server-sent events. One that reads slowly gets each kind of hint once when it reads again. */
import { clearInterval, setInterval } from '../../core/timers.ts'
import type { Hint } from '../../store/worker-calls.ts'
import type { HintHub } from './hint-hub.ts'

/** Shows both sides that the other is there, more often than proxies end what is silent. */
const pingMs = 15_000

export function eventStream(hub: HintHub, signal: AbortSignal): Response {
  const encoder = new TextEncoder()
  const pending = new Set<Hint>()
  let end = (): void => undefined
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const write = (text: string): void => controller.enqueue(encoder.encode(text))
        const unlisten = hub.listen((hint) => {
          if ((controller.desiredSize ?? 0) > 0) write(`data: ${hint}\n\n`)
          else pending.add(hint)
        })
        const ping = setInterval(() => {
          if ((controller.desiredSize ?? 0) > 0) write(':\n\n')
        }, pingMs)
        ping.unref()
        end = () => {
          unlisten()
          clearInterval(ping)
          signal.removeEventListener('abort', stop)
        }
        const stop = (): void => {
          end()
          controller.close()
        }
        signal.addEventListener('abort', stop, { once: true })
        write(':\n\n')
        if (signal.aborted) stop()
      },
      pull(controller) {
        for (const hint of pending) controller.enqueue(encoder.encode(`data: ${hint}\n\n`))
        pending.clear()
      },
      cancel: () => end(),
    },
    { highWaterMark: 16 },
  )
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    },
  })
}

/** An app for tests: in memory, with a clock that stands still until the test moves it. */
import { callerFolder } from '../app/caller.ts'
import { refuseValue } from '../core/read.ts'
import { createErrandIn, type Configuration, type Errand } from '../errand.ts'
import { memory } from '../stores/memory/index.ts'
import { VirtualClock } from './virtual-clock.ts'

/** An app whose time is the test's: `await errand.clock.advance(60_000)` lets a minute pass. */
export interface TestErrand extends Errand {
  readonly clock: VirtualClock
}

/**
 * Makes an app on a memory store of its own, with a virtual clock. Delays, retries, timeouts and leases all go by that clock.
 *
 * @example
 * const errand = testErrand({ tasks: [resize], context: () => ({ db: fakeDb }) })
 * await errand.enqueue(resize, { path: 'a.png', width: 200 }, { delay: '1h' })
 * await errand.clock.advance(3_600_000)
 * await drain(errand)
 */
export function testErrand<Context>(
  config: Omit<Configuration<Context>, 'store'> & { readonly clock?: VirtualClock } = {},
): TestErrand {
  if (typeof config !== 'object' || config === null)
    refuseValue('What testErrand() takes', 'a configuration without a store', config)
  const { clock = new VirtualClock(), ...rest } = config
  if (!(clock instanceof VirtualClock))
    refuseValue('testErrand().clock', 'a VirtualClock of errand/testing', clock)
  const root = callerFolder([import.meta.url])
  const errand = createErrandIn(
    { ...(rest as Configuration<unknown>), store: memory({ clock }) },
    root,
  )
  const close = (): Promise<void> => passing(clock, errand.close())
  return { ...errand, clock, close, [Symbol.asyncDispose]: close }
}

/** Lets time pass in small steps until something is done, for what waits on the clock by itself, such as a worker that stops. */
export async function passing<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  const done = work.finally(() => over.abort())
  // The caller gets the rejection from `done`.
  done.catch(() => undefined)
  while (!over.signal.aborted) await clock.advance(1)
  return done
}

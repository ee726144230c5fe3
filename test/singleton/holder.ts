/** A process that runs a singleton and says what it does, one JSON text a line. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'

/** What the process is told. */
export interface HolderTask {
  readonly store: string
  readonly ttl: number
  /** The port of the register that it writes to; null for none. */
  readonly register: number | null
  readonly every?: number
  readonly pause?: number
}

/** What it says. */
export type HolderLine =
  | {
      readonly kind: 'round'
      readonly token: number
      readonly ticks: number
      readonly wall: number
    }
  /** Written to the register, by its answer. */
  | { readonly kind: 'wrote'; readonly status: number }
  | { readonly kind: 'went on' }
  | { readonly kind: 'aborted'; readonly code: string }
  | { readonly kind: 'ended'; readonly status: string }

/** A run rests so long between two writes: long enough to be stopped in it. */
const restMs = 1_000
/** A run without a register looks so often at its signal. */
const [looks, lookMs] = [10, 50]

const { store, ttl, register, every, pause } = JSON.parse(process.argv[2] ?? '{}') as HolderTask
const say = (line: HolderLine): void => console.log(JSON.stringify(line))

async function write(port: number, token: number): Promise<void> {
  const target = `http://127.0.0.1:${port}/?contender=holder&token=${token}`
  const { status } = await fetch(target, { method: 'POST' })
  say({ kind: 'wrote', status })
}

const errand = createErrand({
  store: await openStore(store),
  singletons: [
    singleton({
      name: 'held',
      keepLock: true,
      ttl,
      liveness: [],
      ...(every === undefined ? {} : { every }),
      ...(pause === undefined ? {} : { pause }),
      run: async ({ signal, token, extend }) => {
        say({ kind: 'round', token: token ?? 0, ticks: performance.now(), wall: Date.now() })
        if (register === null) {
          // Clocks jump meanwhile.
          for (let i = 0; i < looks; i++) {
            signal.throwIfAborted()
            await sleep(lookMs)
          }
          return extend()
        }
        while (!signal.aborted) {
          await write(register, token ?? 0)
          await sleep(restMs)
          if (!signal.aborted) say({ kind: 'went on' })
        }
        say({ kind: 'aborted', code: (signal.reason as { code?: string }).code ?? '' })
        // Against the rules, as code that does not look at its signal.
        await write(register, token ?? 0)
      },
    }),
  ],
})
errand.on('singleton-ended', ({ status }) => say({ kind: 'ended', status }))
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
await errand.singletons.run('held', { signal: stop.signal })
await errand.close()
process.exit()

/** Two processes start one singleton: the second stands by, and goes on when the first has stopped. The token tells late writers from the holder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand, singleton, type Errand } from 'errand'
import { sqlite } from 'errand/sqlite'

const folder = await mkdtemp(join(tmpdir(), 'errand-example-'))

/** Something outside that only the holder may write: it refuses a token smaller than the last. */
const ledger = {
  lastToken: 0,
  write(token: number | null): boolean {
    if (token === null || token < this.lastToken) return false
    this.lastToken = token
    return true
  },
}

const tokens: (number | null)[] = []

/** A process, were it not in one program with the other: an app of its own on the same file. */
function start(name: string): { errand: Errand; begun: Promise<unknown>; stop(): Promise<void> } {
  const began = Promise.withResolvers<unknown>()
  const reports = singleton({
    name: 'reports',
    pause: '20ms',
    keepLock: true,
    run({ token }) {
      if (tokens.at(-1) === token) return
      tokens.push(token)
      console.log(name, 'runs, its write is', ledger.write(token) ? 'accepted' : 'refused')
      began.resolve(token)
    },
  })
  const errand = createErrand({ store: sqlite(join(folder, 'errand.db')), singletons: [reports] })
  errand.on('singleton-waiting', () => console.log(name, 'stands by'))
  const ending = new AbortController()
  const ended = errand.singletons.run('reports', { signal: ending.signal })
  return {
    errand,
    begun: began.promise,
    async stop() {
      console.log(name, 'stops')
      ending.abort()
      await ended
      await errand.close()
    },
  }
}

const first = start('first')
await first.begun

const second = start('second')
await new Promise<void>((resolve) => second.errand.on('singleton-waiting', () => resolve()))

await first.stop()
await second.begun

// As if the first had been asleep and did not know that its lock had passed on.
console.log(
  'a late write of the first is',
  ledger.write(tokens[0] ?? null) ? 'accepted' : 'refused',
)

await second.stop()
await rm(folder, { recursive: true })

// Output:
// first runs, its write is accepted
// second stands by
// first stops
// second runs, its write is accepted
// a late write of the first is refused
// second stops

/** One of several processes that want one lock: it writes into the register for as long as it believes that it has it. */
import { createErrand, singleton, type Locks } from 'errand'
import { consulLocks } from 'errand/consul'
import { etcdLocks } from 'errand/etcd'
import { memory } from 'errand/memory'
import { openStore } from '../../src/cli/open-store.ts'

/** What the director tells a contender. */
export interface Contending {
  readonly name: string
  readonly lock: string
  readonly url: string
  readonly ttlMs: number
  readonly register: number
  /** Loops that write beside each other. */
  readonly writers: number
}

const everyMs = 50
const { name, lock, url, ttlMs, register, writers } = JSON.parse(
  process.argv[2] ?? '{}',
) as Contending

/** The token of the run that is under way. */
let held: number | null = null
writeOnWaking()
const own = locksOf(lock, url)
const errand = createErrand({
  store: own === 'store' ? await openStore(url) : memory(),
  singletons: [
    singleton({
      name: 'contested',
      pause: '10ms',
      keepLock: true,
      ttl: ttlMs,
      lock: own,
      liveness: [],
      run: async ({ signal, token }) => {
        held = token
        const writing = Array.from({ length: writers }, () => writeOn(signal, token ?? 0))
        await Promise.all(writing)
        held = null
      },
    }),
  ],
})
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort(new Error('told to stop')))
process.on('disconnect', () => process.exit())
await errand.singletons.run('contested', { signal: stop.signal })
await errand.close()
process.exit()

function locksOf(kind: string, place: string): 'store' | Locks {
  switch (kind) {
    case 'consul':
    case 'consul-cluster':
      return consulLocks({ url: place, timeout: '2s' })
    case 'etcd':
      return etcdLocks({ url: place, timeout: '1s' })
    default:
      return 'store'
  }
}

/** Writes on until it is told to end. */
async function writeOn(signal: AbortSignal, token: number): Promise<void> {
  while (!signal.aborted) {
    await write(token)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

/** Like a program that was stopped just before its writes, and has them under way before it can hear that the lock is lost. */
function writeOnWaking(): void {
  let beatAt = performance.now()
  let heldThen = held
  setInterval(() => {
    const now = performance.now()
    if (now - beatAt > ttlMs && heldThen !== null) {
      const token = heldThen
      void Promise.all(Array.from({ length: writers }, () => write(token)))
    }
    beatAt = now
    heldThen = held
  }, everyMs).unref()
}

/** What the register answers is its own affair; it ends with the director. */
async function write(token: number): Promise<void> {
  const target = `http://127.0.0.1:${register}/?contender=${name}&token=${token}`
  await fetch(target, { method: 'POST' }).then(
    (answer) => answer.arrayBuffer(),
    () => null,
  )
}

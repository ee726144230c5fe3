/**
 * `npm run oracle`: compares the ticks of schedules with brute force, which formats every minute
 * and decides by the rule. Prints what was looked at, and exits with 1 if anything differs. `--seed`
 * repeats the random part.
 */
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { addCounts, noCounts, type Counts } from './compare.ts'
import { aroundJumps, atRandom, bySeconds, inFull, type Share } from './parts.ts'

interface Order {
  readonly part: keyof typeof parts
  readonly share: Share
  readonly seed: number
}

const parts = {
  'random rules': (share: Share, seed: number) =>
    atRandom(share, { seed, rules: 500, windows: 50 }),
  'second by second': (share: Share) => bySeconds(share),
  'around each jump': (share: Share) => aroundJumps(share),
  'zones in full': (share: Share) => inFull(share),
} as const

if (isMainThread) await main()
else parentPort?.postMessage(carryOut(workerData as Order))

function carryOut({ part, share, seed }: Order): Counts {
  return parts[part](share, seed)
}

async function main(): Promise<void> {
  const given = process.argv.indexOf('--seed')
  const seed = given === -1 ? Math.floor(Math.random() * 2 ** 31) : Number(process.argv[given + 1])
  const { icu, tz } = process.versions
  console.log(`Time zone data ${tz} (ICU ${icu}), Node ${process.version}, --seed ${seed}`)
  const total = noCounts()
  const of = Math.max(1, Math.min(2, availableParallelism()))
  for (const part of Object.keys(parts) as Order['part'][]) {
    const begun = performance.now()
    const counts = noCounts()
    const shares = Array.from({ length: of }, (_, index) => ({ index, of }))
    for (const one of await Promise.all(shares.map((share) => inThread({ part, share, seed })))) {
      addCounts(counts, one)
    }
    print(part, counts, performance.now() - begun)
    addCounts(total, counts)
  }
  for (const line of total.shown) console.log(line)
  console.log(`${total.differences} differences in ${shown(total.comparisons)} comparisons`)
  if (total.differences > 0 || total.ticks === 0) process.exitCode = 1
}

function inThread(order: Order): Promise<Counts> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: order })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('A thread ended without a result.')))
  })
}

function print(part: string, counts: Counts, ms: number): void {
  console.log(
    `${part}: ${shown(counts.windows)} windows, ${shown(counts.steps)} times formatted, ` +
      `${shown(counts.comparisons)} comparisons, ${shown(counts.ticks)} ticks, ` +
      `${counts.differences} differences, ${(ms / 1_000).toFixed(1)} s`,
  )
}

function shown(count: number): string {
  return count.toLocaleString('en-US')
}

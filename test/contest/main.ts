/**
 * The contest for a lock: `npm run contest -- --lock postgres --minutes 10`. Five processes want one lock; they are killed, stopped past its time
 * and cut off from its server, and write to a register that refuses tokens smaller than one it has seen.
 * Exits with 0 when every rule was kept and enough happened, 1 otherwise, 2 for wrong use.
 */
import { parseArgs } from 'node:util'
import { randomOf } from '../chaos/random.ts'
import { Contest, type Contested } from './contest.ts'
import { violations, type Absence, type FailOver } from './judge.ts'
import { lockNames, lockPlace, type LockName, type LockPlace } from './servers.ts'

const shown = 20
/** What a run must see in three minutes, and how late a lock may pass on. */
const least = { stops: 100, refused: 50 } as const
const lateMs = { killed: 2_000, retired: 1_000 } as const

const words: Readonly<Record<Absence['kind'], string>> = {
  stopped: 'a stop',
  dark: 'a cut',
  killed: 'a kill',
  retired: 'a clean end',
}

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      lock: { type: 'string' },
      minutes: { type: 'string', default: '3' },
      seed: { type: 'string', default: '1' },
    },
  })
  const lock = lockNames.find((name) => name === values.lock)
  const minutes = Number(values.minutes)
  if (lock === undefined || !(minutes > 0)) {
    console.error(`npm run contest -- --lock ${lockNames.join('|')} [--minutes 3] [--seed text]`)
    return 2
  }
  const place = await lockPlace(lock)
  if (place === null) return 1
  try {
    const contest = new Contest(lock, place, randomOf(values.seed))
    return report(lock, place, minutes, await contest.run(minutes * 60_000), values.seed)
  } finally {
    await place.close()
  }
}

function report(
  lock: LockName,
  { ttlMs, shake }: LockPlace,
  minutes: number,
  { writes, absences, failOvers }: Contested,
  seed: string,
): number {
  const wrong = [...violations(writes, absences)]
  const refused = writes.filter(({ accepted }) => !accepted).length
  const stops = absences.filter(({ kind, from, to }) => kind === 'stopped' && to - from > ttlMs)
  const lines: (readonly [string, string | number])[] = [
    ['writes accepted', writes.length - refused],
    ['stale writes refused', refused],
    ['holders', new Set(writes.map(({ token }) => token)).size],
    ['stops longer than the ttl', stops.length],
  ]
  const missed: string[] = []
  for (const kind of ['stopped', 'dark', 'killed', 'retired'] as const) {
    const all = failOvers.filter(({ after }) => after === kind)
    const times = timesOf(all.filter(({ isAwaited }) => isAwaited))
    const late = timesOf(all.filter(({ isAwaited }) => !isAwaited))
    const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0
    lines.push([`passed on after ${words[kind]}`, times.length])
    if (times.length > 0) lines.push(['  median, most', `${at(0.5)} ms, ${at(1)} ms`])
    if (late.length > 0)
      lines.push(['  while all others woke or began', `${late.length}, most ${late.at(-1)} ms`])
    const bound =
      kind === 'killed' ? ttlMs + lateMs.killed : kind === 'retired' ? lateMs.retired : Infinity
    // While servers are shaken nobody may be able to take the lock.
    if (shake === null && at(1) > bound)
      missed.push(`the lock passed on ${at(1)} ms after ${words[kind]}; the bound is ${bound}`)
  }
  const share = Math.min(1, minutes / 3)
  if (stops.length < least.stops * share)
    missed.push(`only ${stops.length} stops, not ${least.stops * share}`)
  if (refused < least.refused * share)
    missed.push(`only ${refused} stale writes, not ${least.refused * share}`)
  for (const [what, value] of lines) console.log(`${what.padEnd(36)}${value}`)
  for (const what of wrong.slice(0, shown)) console.log(`VIOLATION: ${what}`)
  for (const what of missed) console.log(`FAILED: ${what}`)
  console.log(`${lock}, ttl ${ttlMs} ms, ${minutes} min, seed ${seed}: ${wrong.length} violations`)
  return wrong.length + missed.length === 0 ? 0 : 1
}

function timesOf(failOvers: readonly FailOver[]): readonly number[] {
  return failOvers.map(({ ms }) => ms).sort((a, b) => a - b)
}

/** What befalls the processes of a run, at moments drawn from the seed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fleet, Member } from './processes.ts'
import { between, weighted, whole, type Random } from './random.ts'

/** The pause between two misfortunes. */
const pauseMs = { from: 250, to: 850 } as const

/** How long a process stands still, in leases: always past its own. */
const stopLeases = { from: 1.3, to: 2.3 } as const

/** So many processes may stand still at once, and so many workers are up at any time. */
const mostStopped = 2
const leastUp = 1

const misfortunes = [
  { kind: 'kill-worker', share: 42 },
  { kind: 'stop-worker', share: 34 },
  { kind: 'kill-producer', share: 18 },
  { kind: 'retire-worker', share: 6 },
] as const

/** Strikes until the signal aborts; resolves when nobody stands still any more. */
export async function strike(
  fleet: Fleet,
  leaseMs: number,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const stops: Promise<void>[] = []
  while (await pause(between(random, pauseMs.from, pauseMs.to), signal)) {
    const { kind } = weighted(random, misfortunes)
    const member = drawVictim(fleet, kind, random)
    const stopMs = leaseMs * between(random, stopLeases.from, stopLeases.to)
    if (member === undefined) continue
    switch (kind) {
      case 'kill-worker':
      case 'kill-producer':
        fleet.kill(member)
        break
      case 'retire-worker':
        fleet.retire(member)
        break
      case 'stop-worker':
        fleet.stop(member)
        stops.push(sleep(stopMs).then(() => fleet.resume(member)))
        break
    }
  }
  await Promise.all(stops)
}

function drawVictim(
  fleet: Fleet,
  kind: (typeof misfortunes)[number]['kind'],
  random: Random,
): Member | undefined {
  if (kind === 'stop-worker' && fleet.members('worker', 'stopped').length >= mostStopped) {
    return undefined
  }
  const role = kind === 'kill-producer' ? 'producer' : 'worker'
  const up = fleet.members(role, 'up')
  if (role === 'worker' && up.length <= leastUp) return undefined
  const isKill = kind === 'kill-worker' || kind === 'kill-producer'
  const members = isKill ? [...up, ...fleet.members(role, 'starting')] : up
  return members[whole(random, 0, members.length - 1)]
}

/** Waits; answers false when the signal cut the wait short. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => null)
  return !signal.aborted
}

/** What befalls the processes of a run, at moments drawn from the seed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fleet, Member } from './processes.ts'
import { between, weighted, whole, type Random } from './random.ts'

/** The pause between two misfortunes. */
const pauseMs = { from: 200, to: 800 } as const

/** How long a process stands still, in leases: always past its own. */
const stopLeases = { from: 1.3, to: 2.3 } as const

/** So many processes may stand still at once. */
const mostStopped = 2

const misfortunes = [
  { kind: 'kill-worker', share: 42 },
  { kind: 'stop-worker', share: 38 },
  { kind: 'kill-producer', share: 12 },
  { kind: 'retire-worker', share: 8 },
] as const

/** Strikes until the signal aborts; then lets everybody go on who stands still. */
export async function strike(
  fleet: Fleet,
  leaseMs: number,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  const stops: Promise<void>[] = []
  while (!signal.aborted) {
    await sleep(between(random, pauseMs.from, pauseMs.to), undefined, { signal }).catch(() => null)
    if (signal.aborted) break
    const { kind } = weighted(random, misfortunes)
    const draw = (members: readonly Member[]): Member | undefined =>
      members[whole(random, 0, members.length - 1)]
    switch (kind) {
      case 'kill-worker':
        await ifAny(draw(alive(fleet, 'worker')), (member) => fleet.kill(member))
        break
      case 'kill-producer':
        await ifAny(draw(alive(fleet, 'producer')), (member) => fleet.kill(member))
        break
      case 'retire-worker':
        await ifAny(draw(fleet.members('worker', 'running')), (member) => fleet.retire(member))
        break
      case 'stop-worker': {
        if (fleet.members('worker', 'stopped').length >= mostStopped) break
        const ms = leaseMs * between(random, stopLeases.from, stopLeases.to)
        await ifAny(draw(fleet.members('worker', 'running')), async (member) => {
          await fleet.stop(member)
          stops.push(
            sleep(ms, undefined, { signal })
              .catch(() => null)
              .then(() => fleet.resume(member)),
          )
        })
        break
      }
    }
  }
  await Promise.all(stops)
}

function alive(fleet: Fleet, role: Member['role']): readonly Member[] {
  return [...fleet.members(role, 'running'), ...fleet.members(role, 'stopped')]
}

async function ifAny(
  member: Member | undefined,
  act: (member: Member) => Promise<void>,
): Promise<void> {
  if (member !== undefined) await act(member)
}

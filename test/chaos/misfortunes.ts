/** What befalls the processes of a run, its server and the ways between them, at moments drawn from the seed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Ground } from './ground.ts'
import type { Ledger } from './ledger.ts'
import type { Fleet, Member } from './processes.ts'
import { between, draw, inAnyOrder, weighted, whole, type Random } from './random.ts'

/** The pause between two misfortunes. */
const pauseMs = { from: 400, to: 1_300 } as const

/** How long a process stands still or hears nothing, in leases: always past its own. */
const absentLeases = { from: 1.3, to: 2.3 } as const

/** Of so many silences one lasts longer than any call of a store waits, in a run that is not over before. */
const long = { share: 0.2, fromMs: 32_000, toMs: 42_000 } as const

/** How long a server that was ended stays away. */
const downMs = { from: 300, to: 3_000 } as const

/** So many workers may stand still or hear nothing at once, and so many are up at any time. */
const mostAbsent = 2
const leastUp = 1

/** So many connections are terminated at once, at most. */
const mostTerminated = 4

const misfortunes = [
  { kind: 'kill-worker', share: 46 },
  { kind: 'stop-worker', share: 26 },
  { kind: 'kill-producer', share: 10 },
  { kind: 'retire-worker', share: 5 },
  { kind: 'darken-worker', share: 12 },
  { kind: 'darken-producer', share: 3 },
  { kind: 'silence-worker', share: 8 },
  { kind: 'silence-producer', share: 3 },
  { kind: 'terminate', share: 8 },
  { kind: 'restart', share: 6 },
  { kind: 'fail-over', share: 4 },
  { kind: 'upheave', share: 6 },
] as const
export type Misfortune = (typeof misfortunes)[number]['kind']
/** What befalls a process, rather than the server. */
type Kind = Exclude<Misfortune, 'terminate' | 'restart' | 'fail-over' | 'upheave'>

/** All that may happen, by name. */
export const misfortuneKinds: readonly Misfortune[] = misfortunes.map(({ kind }) => kind)

export interface Stage {
  readonly fleet: Fleet
  readonly ground: Ground
  readonly ledger: Ledger
  readonly leaseMs: number
  readonly random: Random
  readonly only: readonly Misfortune[] | null
  /** Whether the run is long enough for a silence that outlasts every call. */
  readonly mayBeLong: boolean
}

/**
 * Strikes until the signal aborts; resolves when everybody is back. Each misfortune that the ground offers comes once before chance
 * decides, until `late` aborts, so that a short run on a slow machine sees them all.
 */
export async function strike(stage: Stage, signal: AbortSignal, late: AbortSignal): Promise<void> {
  const { fleet, random, only } = stage
  const absences: Promise<void>[] = []
  let restart: Promise<void> | null = null
  const offered = misfortunes.filter(
    ({ kind }) => isOffered(kind, stage) && (only?.includes(kind) ?? true),
  )
  const owed = inAnyOrder(random, offered)
  const next = (): number => between(random, pauseMs.from, pauseMs.to)
  while (await pause(next(), owed.length > 0 ? late : signal)) {
    const drawn = owed.pop()
    const { kind } = drawn ?? weighted(random, offered)
    const absentMs = stage.leaseMs * between(random, absentLeases.from, absentLeases.to)
    const isCut = random() < 0.5
    switch (kind) {
      case 'kill-worker':
      case 'kill-producer':
      case 'retire-worker':
      case 'stop-worker':
      case 'darken-worker':
      case 'darken-producer':
      case 'silence-worker':
      case 'silence-producer': {
        const member = drawVictim(fleet, kind, random)
        if (member !== undefined) absences.push(befall(stage, kind, member, absentMs, isCut))
        else if (drawn !== undefined) owed.unshift(drawn)
        break
      }
      case 'terminate':
        // A server that is away has no connections.
        if (restart === null) await terminate(stage)
        break
      case 'restart':
      case 'fail-over':
        if (restart !== null) {
          if (drawn !== undefined) owed.unshift(drawn)
          break
        }
        restart = (kind === 'restart' ? restartServer(stage) : moveServer(stage)).finally(
          () => (restart = null),
        )
        absences.push(restart)
        break
      case 'upheave':
        if (restart !== null) {
          if (drawn !== undefined) owed.unshift(drawn)
          break
        }
        restart = upheave(stage).finally(() => (restart = null))
        absences.push(restart)
        break
    }
  }
  await Promise.all(absences)
}

function isOffered(kind: Misfortune, { ground, fleet }: Stage): boolean {
  switch (kind) {
    case 'kill-worker':
    case 'stop-worker':
    case 'kill-producer':
    case 'retire-worker':
      return true
    case 'darken-worker':
    case 'darken-producer':
    case 'silence-worker':
    case 'silence-producer':
      return fleet.members('worker').some(({ place }) => place.way.proxy !== null)
    case 'terminate':
      return ground.connections !== null
    case 'restart':
      return ground.restart !== null
    case 'upheave':
      return ground.upheave !== null
    case 'fail-over':
      return ground.failOver !== null
  }
}

async function befall(
  { fleet, ground, ledger, random, mayBeLong }: Stage,
  kind: Kind,
  member: Member,
  absentMs: number,
  isCut: boolean,
): Promise<void> {
  switch (kind) {
    case 'kill-worker':
    case 'kill-producer':
      return fleet.kill(member)
    case 'retire-worker':
      return fleet.retire(member)
    case 'stop-worker':
      fleet.stop(member)
      return standStill(absentMs)
    case 'darken-worker':
    case 'darken-producer':
      fleet.darken(member)
      await sleep(absentMs)
      return fleet.lighten(member, isCut ? 'cut' : 'go-on')
    case 'silence-worker':
    case 'silence-producer':
      fleet.silence(member)
      await sleep(
        mayBeLong && random() < long.share ? between(random, long.fromMs, long.toMs) : absentMs,
      )
      return fleet.carry(member)
  }

  /** Who is stopped inside a transaction may hold up everybody else. */
  async function standStill(ms: number): Promise<void> {
    const until = performance.now() + ms
    const isHeld = (await ground.isHeld?.()) ?? false
    if (isHeld) ledger.write({ kind: 'server', state: 'held' })
    await sleep(until - performance.now())
    fleet.resume(member)
    if (isHeld) ledger.write({ kind: 'server', state: 'free' })
  }
}

async function terminate({ fleet, ground, ledger, random }: Stage): Promise<void> {
  const left = [...((await ground.connections?.()) ?? [])]
  for (let i = whole(random, 1, mostTerminated); i > 0 && left.length > 0; i--) {
    const [{ port, end }] = left.splice(whole(random, 0, left.length - 1), 1) as [Connection]
    ledger.write({ kind: 'terminated', process: fleet.nameBehind(port) })
    await end()
  }
}

async function restartServer({ ground, ledger, random }: Stage): Promise<void> {
  if (ground.restart === null) return
  const awayMs = between(random, downMs.from, downMs.to)
  ledger.write({ kind: 'server', state: 'down' })
  await ground.restart(random, () => sleep(awayMs))
  ledger.write({ kind: 'server', state: 'up' })
}

async function upheave({ ground, ledger, random }: Stage): Promise<void> {
  if (ground.upheave === null) return
  ledger.write({ kind: 'server', state: 'held' })
  await ground.upheave(random)
  ledger.write({ kind: 'server', state: 'free' })
  ledger.write({ kind: 'upheaval' })
}

/** Another server takes over, and gets a follower of its own before anything else befalls it. */
async function moveServer({ ground, ledger, random }: Stage): Promise<void> {
  if (ground.failOver === null) return
  ledger.write({ kind: 'server', state: 'down' })
  const mend = await ground.failOver(random)
  ledger.write({ kind: 'server', state: 'moved' })
  await mend()
}

function drawVictim(fleet: Fleet, kind: Kind, random: Random): Member | undefined {
  const role = kind.endsWith('-producer') ? 'producer' : 'worker'
  const up = fleet.members(role, 'up')
  if (role === 'worker' && up.length <= leastUp) return undefined
  switch (kind) {
    case 'kill-worker':
    case 'kill-producer':
      return draw(random, [...up, ...fleet.members(role, 'starting')])
    case 'retire-worker':
      return draw(random, up)
    case 'stop-worker':
      return fleet.members(role, 'absent').length < mostAbsent ? draw(random, up) : undefined
    case 'darken-worker':
    case 'darken-producer':
    case 'silence-worker':
    case 'silence-producer':
      if (fleet.members(role, 'absent').length >= mostAbsent) return undefined
      return draw(
        random,
        up.filter(({ place }) => place.way.proxy !== null),
      )
  }
}

/** Waits; answers false when the signal cut the wait short. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => null)
  return !signal.aborted
}

/** What the register saw, held against what befell the contenders. */
import type { Write } from './register.ts'

/** A time during which a contender stood still, or reached nobody; `to` is Infinity while it lasts, and for one that was killed. */
export interface Absence {
  readonly contender: string
  readonly kind: 'stopped' | 'dark' | 'killed' | 'retired'
  readonly from: number
  to: number
}

/** A lock passed on: from what befell its holder to the first write of the next one. */
export interface FailOver {
  readonly after: Absence['kind']
  readonly ms: number
  /** Whether somebody had been awake for a while who could take it. */
  readonly isAwaited: boolean
}

/** A stopped process writes when it wakes, before it can know; that soon it must have noticed. */
const noticeMs = 1_500

/** Everything that must not be. */
export function* violations(
  writes: readonly Write[],
  absences: readonly Absence[],
): Generator<string> {
  const owners = new Map<number, string>()
  let greatest = 0
  for (const { at, contender, token, accepted } of writes) {
    const owner = owners.get(token) ?? contender
    owners.set(token, owner)
    if (owner !== contender) yield `${owner} and ${contender} both wrote under ${token}`
    if (accepted && token < greatest) yield `a write under ${token} was accepted after ${greatest}`
    if (!accepted && token >= greatest) yield `the holder of ${token} was refused`
    greatest = Math.max(greatest, token)
    if (accepted) continue
    const wasStopped = absences.some(
      (one) =>
        one.contender === contender &&
        one.kind === 'stopped' &&
        one.from <= at &&
        at <= one.to + noticeMs,
    )
    if (!wasStopped)
      yield `${contender} was awake and wrote under ${token} when ${greatest} was held`
  }
}

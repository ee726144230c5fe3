/** Settlements as they travel to a script: see `SETTLE`. */
import type { Finish, Requeue, Settlement } from '../../store/worker-calls.ts'
import { codeOf } from '../state-codes.ts'
import { countersField, nullable, whole } from './encoding.ts'
import { isPacked, packId } from './ids.ts'
import { isPlain, type Packed } from './new-job-encoding.ts'

/** A settlement with its follow-ups as they travel. */
export interface PackedSettlement {
  readonly settlement: Settlement
  readonly followUps: readonly Packed[]
}

/** How many follow-ups the quick script adds at most. */
const mostFollowUps = 1_000

/** Whether the quick script may take a settlement, by what it says. */
export function isPlainEnd({ settlement, followUps }: PackedSettlement): boolean {
  return settlement.kind === 'finish' && settlement.attempt === null && followUps.every(isPlainHere)
}

/** Whether a follow-up is plain, and of the partition of its parent. */
function isPlainHere(job: Packed): boolean {
  return isPlain(job) && isPacked(job.id)
}

/**
 * The arguments of the quick script, few and long ones, since each costs; null for settlements that
 * it does not take.
 */
export function plainArguments(settlements: readonly PackedSettlement[]): string[] | null {
  const ids: string[] = []
  const lines: string[] = []
  const places: number[] = []
  const follows: { readonly ids: string[]; readonly specs: string[]; readonly bodies: string[] } = {
    ids: [],
    specs: [],
    bodies: [],
  }
  let lastSpec = ''
  let last = ''
  for (const [place, one] of settlements.entries()) {
    const { settlement, followUps } = one
    if (settlement.kind === 'requeue' || !isPlainEnd(one)) return null
    for (const { id, spec, body } of followUps) {
      // Its fields are a line, and its texts are to be one.
      if (body.indexOf('\n') !== body.lastIndexOf('\n') || spec === '') return null
      places.push(place + 1)
      follows.ids.push(id)
      follows.specs.push(spec === lastSpec ? '' : spec)
      follows.bodies.push(body)
      lastSpec = spec
    }
    const { id, output } = settlement
    const packed = packId(id)
    if (!isPacked(packed) || !isAsLongInBytes(output) || output?.includes('\n') === true)
      return null
    const ending = endingOf(settlement)
    const shared = `${yields(settlement)}${ending}`
    ids.push(packed)
    lines.push(shared === last ? agoOf(settlement) : finishOf(settlement, ending), output ?? '')
    last = shared
  }
  lines.push('')
  if (places.length > mostFollowUps) return null
  const args = [String(settlements.length), ids.join(''), lines.join('\n'), places.join(',')]
  if (places.length === 0) return args
  const { specs, bodies } = follows
  return [...args, follows.ids.join(''), `${specs.join('\n')}\n`, `${bodies.join('\n')}\n`]
}

/** The arguments of the full script. */
export function argumentsOf(settlements: readonly PackedSettlement[]): string[] {
  const args: string[] = [String(settlements.length)]
  for (const { settlement, followUps } of settlements) {
    const { attempt } = settlement
    args.push(packId(settlement.id))
    switch (settlement.kind) {
      case 'finish': {
        const { output } = settlement
        const length = output === null ? '' : `${output.length}${bytesOf(output)}`
        const fields = finishOf(settlement, endingOf(settlement))
        args.push(`${fields}\t${length}\t${moreOf(settlement)}`, output ?? '')
        break
      }
      case 'requeue':
        args.push(returnOf(settlement), '')
        break
    }
    if (attempt !== null) args.push(attempt)
    for (const job of followUps) args.push(job.id, job.spec, job.body)
  }
  return args
}

function finishOf(finish: Finish, ending: string): string {
  return `f\t${finish.token}\t${yields(finish)}\t${agoOf(finish)}\t${ending}`
}

function agoOf({ startedAgoMs }: Finish): string {
  return startedAgoMs === null ? '' : whole(Math.max(0, startedAgoMs))
}

/** The fields that settlements of one batch mostly share. */
function endingOf({ token, state, output, reason, keepMs, counters }: Finish): string {
  const keep = keepMs !== null && keepMs <= 0 ? '0' : whole(keepMs)
  return `${output === null ? '' : 'y'}\t${codeOf(state)}\t${keep}\t${nullable(reason)}\t${countersField(counters)}\t${token}`
}

function returnOf(requeue: Requeue): string {
  const { token, delayMs, place, started, suspect } = requeue
  const counters = countersField(requeue.counters)
  return `r\t${token}\t${yields(requeue)}\t${counters}\t${whole(Math.max(0, delayMs))}\t${place === 'due' ? 'd' : ''}\t${started ? 'y' : ''}\t${suspect ? 'y' : ''}\t${moreOf(requeue)}`
}

function yields({ yieldsToCancel }: Settlement): string {
  return yieldsToCancel ? 'y' : ''
}

function moreOf({ attempt, followUps }: Settlement): string {
  return `${attempt === null ? '' : 'a'}\t${followUps.length}`
}

function isAsLongInBytes(output: string | null): boolean {
  return output === null || Buffer.byteLength(output) === output.length
}

/** What follows the length of an output in UTF-16 units when it is longer in bytes. */
function bytesOf(output: string): string {
  return isAsLongInBytes(output) ? '' : `,${Buffer.byteLength(output)}`
}

/**
 * How long jobs lay with a worker that had fallen silent. A rescue is *timely* when some worker was fit to do it all along: then its
 * time is bounded by lease and sweep. The others are *hindered*: the store was away or held by a process that stood still, or every worker was
 * absent, new or just back.
 */
import { linesOf, type History, type Of } from './history.ts'
import type { Line, Signal } from './ledger.ts'

export interface Rescues {
  /** Sorted milliseconds, from the moment at which a process fell silent to that at which a job of it was leased to another. */
  readonly timelyMs: readonly number[]
  readonly hinderedMs: readonly number[]
  /** Jobs that were taken from a process which nobody had silenced. */
  readonly fromLiving: number
}

/** Times of the worker that the run has set. */
export interface Pace {
  readonly leaseMs: number
  readonly sweepMs: number
}

/** The pace of workers with a lease; their sweepers look each sixth of it. */
export function paceOf(leaseMs: number): Pace {
  return { leaseMs, sweepMs: Math.max(100, Math.min(5_000, leaseMs / 6)) }
}

/** Contact that a worker wants before it rescues, where its lease is short. */
const leastContactMs = 1_000
/** The longest back-off of a worker's part after failures. */
const longestBackoffMs = 4_000
/** How long after a silence, or after another server took over, a part may still wait on a connection that is lost. */
const longestLossMs = 5_000

/** What a timely rescue takes at most, with a second for a busy machine. */
export function boundOf({ leaseMs, sweepMs }: Pace): number {
  return leaseMs + sweepMs + 1_000
}

interface Span {
  readonly from: number
  readonly to: number
}

export function rescuesOf({ lines, stories }: History, pace: Pace): Rescues {
  const signals = Map.groupBy(linesOf(lines, 'signal'), ({ process }) => process)
  const events = lines.filter(isEvent)
  const fit = unionOf(
    [...signals.keys()]
      .filter((name) => name.startsWith('worker'))
      .flatMap((name) => fitness(name, events, pace)),
  )
  const timelyMs: number[] = []
  const hinderedMs: number[] = []
  let fromLiving = 0
  for (const story of stories.values()) {
    for (const handed of linesOf(story.lines, 'handed')) {
      if (handed.why !== 'lost') continue
      const silence = silenceBefore(handed, story.lines, signals, pace)
      if (silence === 'unknown') continue
      if (silence === 'never') fromLiving++
      else {
        const isTimely = fit.some(({ from, to }) => from <= silence.from && to >= silence.to)
        ;(isTimely ? timelyMs : hinderedMs).push(silence.to - silence.from)
      }
    }
  }
  const ascending = (a: number, b: number): number => a - b
  return { timelyMs: timelyMs.sort(ascending), hinderedMs: hinderedMs.sort(ascending), fromLiving }
}

/** From the silence of the last holder of a job until the job was handed to another; `never` when nothing had silenced it. */
function silenceBefore(
  handed: Of<'handed'>,
  lines: readonly Line[],
  signals: ReadonlyMap<string, readonly Of<'signal'>[]>,
  { leaseMs }: Pace,
): Span | 'never' | 'unknown' {
  const holder = linesOf(lines, 'handed').findLast(({ token }) => token < handed.token)
  // One that was killed within its claim left no line; the line before it is of a lease that was settled.
  const isSettled = linesOf(lines, 'verdict').some(
    ({ token, answer }) => token === holder?.token && answer === 'settled',
  )
  if (holder === undefined || isSettled) return 'unknown'
  const before = (signals.get(holder.by) ?? []).filter(({ at }) => at <= handed.at)
  const silenced = before.findLast(({ signal }) => silences[signal])
  if (silenced === undefined) return 'never'
  const ended = before.find(({ signal, at }) => isReturn(signal) && at >= silenced.at)
  // Whoever is back for a lease has renewed, or had its time to.
  if (ended !== undefined && (ended.at < holder.askedAt || handed.at - ended.at > leaseMs)) {
    return 'never'
  }
  return { from: Math.max(silenced.at, holder.askedAt), to: handed.at }
}

/** Which signals end a process's contact with the store. */
const silences: Readonly<Record<Signal, boolean>> = {
  SIGKILL: true,
  SIGSTOP: true,
  dark: true,
  silent: true,
  stop: true,
  SIGCONT: false,
  light: false,
  heard: false,
  up: false,
}

function isReturn(signal: Signal): boolean {
  return signal === 'SIGCONT' || signal === 'light' || signal === 'heard' || signal === 'up'
}

type Event = Of<'signal'> | Of<'server'> | Of<'terminated'>

function isEvent(line: Line): line is Event {
  return line.kind === 'signal' || line.kind === 'server' || line.kind === 'terminated'
}

/**
 * When a worker could rescue: from one renew interval of unbroken contact on, and time for two sweeps. When the server was away,
 * its parts may be in a back-off as long as that.
 */
function fitness(
  name: string,
  events: readonly Event[],
  { leaseMs, sweepMs }: Pace,
): readonly Span[] {
  const spans: Span[] = []
  let isHere = false
  let fitFrom = Infinity
  let goneAt = 0
  const leave = (at: number): void => {
    if (fitFrom < at) spans.push({ from: fitFrom, to: at })
    fitFrom = Infinity
    goneAt = at
  }
  const come = (at: number, lateMs: number): void => {
    fitFrom = at + Math.max(leaseMs / 3, leastContactMs) + sweepMs * 2 + lateMs
  }
  for (const event of events) {
    const { at } = event
    switch (event.kind) {
      case 'terminated':
        if (!isHere || (event.process ?? name) !== name) break
        leave(at)
        come(at, 0)
        break
      case 'server':
        if (event.state === 'down' || event.state === 'held') leave(at)
        else if (isHere && event.state === 'moved') come(at, longestLossMs)
        else if (isHere) come(at, Math.min(longestBackoffMs, at - goneAt))
        break
      case 'signal':
        if (event.process !== name) break
        isHere = isReturn(event.signal)
        if (isHere) come(at, event.signal === 'heard' ? longestLossMs : 0)
        else leave(at)
        break
    }
  }
  if (fitFrom !== Infinity) spans.push({ from: fitFrom, to: Infinity })
  return spans
}

/** Spans that overlap or touch, made one. */
function unionOf(spans: readonly Span[]): readonly Span[] {
  const union: Span[] = []
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = union.at(-1)
    if (last === undefined || span.from > last.to) union.push(span)
    else union[union.length - 1] = { from: last.from, to: Math.max(last.to, span.to) }
  }
  return union
}

/** The rules that a run must have kept. Each answers what broke it; the check is all of them. */
import { isFinal } from '../../src/core/job.ts'
import type { StoredJob } from '../../src/store/job.ts'
import { wrongFollowUps } from './follow-ups.ts'
import { acceptedEnds, keyOfJob, linesOf, type History, type Story } from './history.ts'
import { kindOf } from './scenario.ts'

export interface Violation {
  readonly rule: string
  /** The job that it is about; null when it is about none. */
  readonly id: string | null
  readonly what: string
}

type Broken = Omit<Violation, 'rule'>

export function check(history: History): readonly Violation[] {
  return Object.entries(rules).flatMap(([rule, broken]) =>
    [...broken(history)].map((one) => ({ rule, ...one })),
  )
}

const rules: Readonly<Record<string, (history: History) => Iterable<Broken>>> = {
  *'an acknowledged job is known'({ calls, stories }) {
    for (const [key, { intent, ack }] of calls) {
      if (ack === null) continue
      const { id, status } = ack
      const { record } = stories.get(id)!
      if (record === null) {
        if (!wasRemovedAtItsEnd(stories.get(id)!)) yield { id, what: `the store does not know it` }
      } else if (record.task !== intent.task) {
        yield { id, what: `it was enqueued as ${intent.task}` }
      } else if (status === 'created' && keyOfJob(record) !== key && !isReplaceable(record)) {
        yield { id, what: `it was enqueued with the key ${key}` }
      }
    }
  },

  *'a call becomes one job at most, and no job comes from nowhere'({ calls, jobs }) {
    const roots = jobs.filter(({ parent }) => parent === null)
    for (const [key, made] of Map.groupBy(roots, keyOfJob)) {
      const [first] = made
      if (!calls.has(key)) yield { id: first!.id, what: `nobody enqueued its key ${key}` }
      if (made.length > 1) yield { id: first!.id, what: `${made.length} jobs have its key ${key}` }
    }
  },

  *'the store lists a job once'({ jobs }) {
    for (const [id, listed] of Map.groupBy(jobs, (job) => job.id)) {
      if (listed.length > 1) yield { id, what: `it is listed ${listed.length} times` }
    }
  },

  *'every job is final in the end'({ jobs }) {
    for (const { id, state } of jobs) if (!isFinal(state)) yield { id, what: `it is ${state}` }
  },

  *'a job that anybody heard of is known'({ stories }) {
    for (const story of stories.values()) {
      if (story.record !== null || wasRemovedAtItsEnd(story)) continue
      yield { id: story.id, what: 'the ledger knows it and the store does not' }
    }
  },

  *'a job ends once, as the store says'({ stories }) {
    for (const story of stories.values()) {
      const { id, record } = story
      const ends = acceptedEnds(story)
      const tokens = new Set(ends.map(({ token }) => token))
      if (tokens.size > 1) {
        yield { id, what: `its end was accepted under the tokens ${[...tokens].join(' and ')}` }
      }
      for (const { token, decision } of ends) {
        if (record === null || (record.token === token && record.state === decision)) continue
        const is = `the store has ${record.state} under token ${record.token}`
        yield { id, what: `it was accepted as ${decision} under token ${token}, but ${is}` }
      }
    }
  },

  *'one lease settles once'({ stories }) {
    for (const { id, lines } of stories.values()) {
      const accepted = linesOf(lines, 'verdict').filter(({ answer }) => answer === 'settled')
      for (const [token, settled] of Map.groupBy(accepted, (line) => line.token)) {
        const decisions = new Set(settled.map(({ decision }) => decision))
        if (decisions.size > 1 || new Set(settled.map(({ by }) => by)).size > 1) {
          yield { id, what: `token ${token} settled it as ${[...decisions].join(' and ')}` }
        }
      }
    }
  },

  *'no job is handed out after its end'({ stories }) {
    for (const story of stories.values()) {
      const last = Math.max(...acceptedEnds(story).map(({ token }) => token))
      for (const { token } of linesOf(story.lines, 'handed')) {
        if (last > -Infinity && token > last) {
          yield { id: story.id, what: `token ${token} was given after token ${last} had ended it` }
        }
      }
    }
  },

  *'the tokens of a job only grow'({ stories }) {
    for (const { id, lines } of stories.values()) {
      // Of two claims it is known which came first if the later was asked for after the answer of the earlier.
      const handed = linesOf(lines, 'handed')
      for (const [i, { token, askedAt }] of handed.entries()) {
        for (const [j, before] of handed.entries()) {
          if (i === j) continue
          const isLater = before.at < askedAt
          if (token === before.token ? i < j : isLater && token < before.token) {
            yield { id, what: `token ${token} was given after token ${before.token}` }
          }
        }
      }
    }
  },

  *'a handler starts once under a lease of its own process'({ stories }) {
    for (const { id, lines } of stories.values()) {
      const handed = linesOf(lines, 'handed')
      for (const [token, starts] of Map.groupBy(linesOf(lines, 'start'), (line) => line.token)) {
        if (starts.length > 1) yield { id, what: `it was started twice under token ${token}` }
        if (!handed.some((line) => line.token === token && line.by === starts[0]!.by)) {
          yield { id, what: `${starts[0]!.by} started it under token ${token} without a lease` }
        }
      }
    }
  },

  *'an at-most-once job starts again only after its handler has ended'({ stories }) {
    for (const { id, record, lines } of stories.values()) {
      if (record?.task !== 'once') continue
      const ended = new Set(linesOf(lines, 'end').map(({ token }) => token))
      const starts = linesOf(lines, 'start').toSorted((a, b) => a.token - b.token)
      for (const { token } of starts.slice(0, -1)) {
        if (!ended.has(token)) yield { id, what: `token ${token} was not its last start` }
      }
    }
  },

  *'follow-ups exist exactly once, for accepted ends only'({ stories }) {
    for (const story of stories.values()) {
      for (const what of wrongFollowUps(story)) yield { id: story.id, what }
    }
  },

  *'a unique key has one holder at a time'({ jobs, stories }) {
    const holders = jobs.filter(({ task }) => task === 'only')
    for (const [key, held] of Map.groupBy(holders, ({ uniqueKey }) => uniqueKey)) {
      // An insert that waited for its key has a time from before it waited, perhaps from before that of the holder for whom it did.
      const inOrder = held.toSorted((a, b) => seenAt(a, stories) - seenAt(b, stories))
      for (const [i, job] of inOrder.entries()) {
        const before = inOrder[i - 1]
        const { id } = job
        if (before !== undefined && seenAt(job, stories) < (before.finishedAt ?? Infinity)) {
          yield { id, what: `${before.id} held its key ${key} when it was created` }
        }
      }
    }
  },

  *'a cancelled job stays cancelled'({ lines, stories }) {
    for (const { id, answer } of linesOf(lines, 'cancel')) {
      const state = stories.get(id)?.record?.state
      const isWrong =
        (answer === 'cancelled' && state !== 'cancelled') ||
        (answer === 'asked' && (state === 'failed' || state === 'scheduled'))
      if (isWrong) yield { id, what: `cancel answered ${answer}, and it is ${state}` }
    }
  },

  *'no process ends by itself'({ lines }) {
    for (const { process, how } of linesOf(lines, 'died')) {
      yield { id: null, what: `${process} ended ${how}; see ${process}.log` }
    }
  },
}

/** Whether a job is gone because its task keeps no completed ones: then a handler of it has returned. */
function wasRemovedAtItsEnd({ lines, record }: Story): boolean {
  if (record !== null || !linesOf(lines, 'end').some(({ how }) => how === 'returns')) return false
  return linesOf(lines, 'start').some(({ task }) => kindOf(task).isRemoved)
}

/** Whether another call may have put its input in place of the job's own. */
function isReplaceable({ task }: StoredJob): boolean {
  const { unique } = kindOf(task).options ?? {}
  return typeof unique === 'object' && unique.onConflict === 'replace'
}

/** When a job was there for certain: an insert that waited for its key has a time from before it waited. */
function seenAt({ id, createdAt }: StoredJob, stories: History['stories']): number {
  const lines = stories.get(id)?.lines ?? []
  const seen = lines.find(
    (line) => line.kind === 'handed' || (line.kind === 'ack' && line.status === 'created'),
  )
  return seen?.at ?? createdAt
}

/**
 * The reference model: what a store may answer to a call, and what it then holds.
 *
 * `step` is a pure function. Where the contract leaves a choice (the number of a new token, which of equal jobs a sweep hands out), it
 * adopts what the store chose, if the contract allows that; else it throws an assertion that tells both sides.
 */
import { difference, draftOf, same, type Draft } from './draft.ts'
import type { Edge } from './edges.ts'
import type { Exchange } from './exchange.ts'
import type { JobState } from '../../src/core/job.ts'
import { explainInsert } from './intake.ts'
import { explainClaim, explainExpired } from './leasing.ts'
import { cancelOne, explainPrune, removeOne, retryOne, takeOne } from './operating.ts'
import { explainList, explainQueues, explainTend, explainWorkers, sameJob } from './reading.ts'
import { explainRecord, noteOne, recordedOf, renewOne, settleOne } from './settling.ts'
import { explainRecords, putRecord } from './recording.ts'
import type { ModelState } from './state.ts'

/** What a step may know beside the call and its answer. */
export interface Circumstances {
  readonly now: number
  /** The state that the store shows of a job after the call; null for an unknown id. */
  readonly seen: (id: string) => JobState | null
  /** Jobs that other clients touched at the same time: a claim or sweep may have gone past them. Null when nobody did anything. */
  readonly passed: ReadonlySet<string> | null
}

export interface Step {
  readonly state: ModelState
  /** The rows of the table of states that were taken. */
  readonly edges: readonly Edge[]
}

export function step(state: ModelState, exchange: Exchange, circumstances: Circumstances): Step {
  const draft = draftOf(state, circumstances.now, circumstances.seen)
  explain(draft, exchange, circumstances)
  const { edges, now: _, settledHere: __, seen: ___, ...next } = draft
  return { state: next, edges }
}

function explain(draft: Draft, exchange: Exchange, { seen, passed }: Circumstances): void {
  const { verb, answer } = exchange
  switch (verb) {
    case 'insert':
      return explainInsert(draft, exchange, answer)
    case 'putRecords':
      return same(
        verb,
        answer,
        exchange.writes.map((write) => putRecord(draft, write)),
      )
    case 'listRecords':
      return explainRecords(draft, exchange.query, answer)
    case 'claim':
      return explainClaim(draft, exchange.request, answer, passed)
    case 'settle':
      same('answers', answer.length, exchange.settlements.length)
      for (const [index, settlement] of exchange.settlements.entries()) {
        const allowed = settleOne(draft, settlement)
        if (!allowed.some((one) => one === answer[index])) throw difference(verb, answer, allowed)
      }
      return
    case 'renew':
      return same(
        verb,
        answer,
        exchange.leases.map((one) => renewOne(draft, one, exchange.leaseMs)),
      )
    case 'note':
      return same(
        verb,
        answer,
        exchange.notes.map((note) => noteOne(draft, note)),
      )
    case 'record':
      return explainRecord(draft, exchange.record, answer)
    case 'rescue':
      return explainExpired(draft, exchange.request, answer, passed)
    case 'tend':
      return explainTend(draft, exchange.worker, answer)
    case 'cancel':
      return same(
        verb,
        answer,
        exchange.ids.map((id) => cancelOne(draft, id, exchange.reason)),
      )
    case 'retry':
      return same(
        verb,
        answer,
        exchange.ids.map((id) => retryOne(draft, id)),
      )
    case 'remove': {
      const there = new Set(exchange.ids.filter((id) => draft.jobs.has(id)))
      const removed = exchange.ids.map((id) => removeOne(draft, id))
      // One that ended with a job of the same call, and is not kept, was removed or is missing by then.
      const isEither = (id: string, index: number): boolean =>
        removed[index] === 'missing' && there.has(id) && exchange.ids.indexOf(id) === index
      return same(
        verb,
        answer,
        removed.map((one, index) =>
          isEither(exchange.ids[index] ?? '', index) && answer[index] === 'removed'
            ? 'removed'
            : one,
        ),
      )
    }
    case 'take':
      for (const [index, id] of exchange.ids.entries())
        sameJob(`${id} as taken`, answer[index] ?? null, takeOne(draft, id))
      return
    case 'prune':
      return explainPrune(draft, exchange, answer, (id) => seen(id) === null)
    case 'pause':
    case 'resume':
      for (const name of exchange.queues) {
        if (verb === 'pause') draft.paused.add(name)
        else draft.paused.delete(name)
      }
      return
    case 'list':
      return explainList(draft, exchange.query, answer)
    case 'logs':
      return same(verb, answer, draft.jobs.get(exchange.id)?.log ?? [])
    case 'recorded':
      return same(verb, answer, recordedOf(draft, exchange.id))
    case 'queues':
      return explainQueues(draft, answer)
    case 'workers':
      return explainWorkers(draft, answer)
  }
}

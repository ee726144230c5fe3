/**
 * The reference model: what a store may answer to a call, and what it then holds.
 *
 * `step` is a pure function. Where the contract leaves a choice (the number of a new token, which of equal jobs a sweep hands out), it
 * adopts what the store chose, if the contract allows that; else it throws an assertion that tells both sides.
 */
import { difference, draftOf, same, settleNeeds, type Draft } from './draft.ts'
import type { Edge } from './edges.ts'
import type { Exchange } from './exchange.ts'
import { insertOne } from './intake.ts'
import { explainClaim, explainExpired } from './leasing.ts'
import { cancelOne, explainPrune, removeOne, retryOne, takeOne } from './operating.ts'
import { explainList, explainQueues, explainTend, explainWorkers, sameJob } from './reading.ts'
import { noteOne, renewOne, settleOne } from './settling.ts'
import type { ModelState } from './state.ts'

/** What a step may know beside the call and its answer. */
export interface Circumstances {
  readonly now: number
  /** Tells whether an id is unknown to the store after the call. */
  readonly isGone: (id: string) => boolean
  /** Jobs that other clients touched at the same time: a claim or sweep may have gone past them. Null when nobody did anything. */
  readonly passed: ReadonlySet<string> | null
}

export interface Step {
  readonly state: ModelState
  /** The rows of the table of states that were taken. */
  readonly edges: readonly Edge[]
}

export function step(state: ModelState, exchange: Exchange, circumstances: Circumstances): Step {
  const draft = draftOf(state, circumstances.now)
  explain(draft, exchange, circumstances)
  const { edges, now: _, settledHere: __, ...next } = draft
  return { state: next, edges }
}

function explain(draft: Draft, exchange: Exchange, { isGone, passed }: Circumstances): void {
  const { verb, answer } = exchange
  switch (verb) {
    case 'insert':
      return same(
        verb,
        answer,
        exchange.jobs.map((job, index) => {
          const inserted = insertOne(draft, job, answer[index]?.token ?? null)
          settleNeeds(draft)
          return inserted
        }),
      )
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
    case 'remove':
      return same(
        verb,
        answer,
        exchange.ids.map((id) => removeOne(draft, id)),
      )
    case 'take':
      for (const [index, id] of exchange.ids.entries())
        sameJob(`${id} as taken`, answer[index] ?? null, takeOne(draft, id))
      return
    case 'prune':
      return explainPrune(draft, exchange, answer, isGone)
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
    case 'queues':
      return explainQueues(draft, answer)
    case 'workers':
      return explainWorkers(draft, answer)
  }
}

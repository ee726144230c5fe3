/** Requests that may be sent again: one set of kept answers for each app. */
import { clientOf } from '../../client/own-client.ts'
import type { Managed } from '../managed.ts'
import { KeptAnswers } from './kept-answers.ts'

const byApp = new WeakMap<Managed, KeptAnswers>()

export function keptAnswersOf(errand: Managed): KeptAnswers {
  let kept = byApp.get(errand)
  if (kept === undefined) {
    kept = new KeptAnswers(errand.store, clientOf(errand).app.events)
    byApp.set(errand, kept)
  }
  return kept
}

export { enqueueOnce } from './enqueue-once.ts'
export { takeOnce } from './take-once.ts'

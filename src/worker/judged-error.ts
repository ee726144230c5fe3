/** What the rules of a task said of an error where it was thrown, kept beside the error's copy. */
import type { Judged } from '../core/decide.ts'

const judgements = new WeakMap<object, Judged>()

/** Keeps it with the error; without meaning for a thrown value that is no object. */
export function keepJudged(error: unknown, judged: Judged): void {
  if (typeof error === 'object' && error !== null) judgements.set(error, judged)
}

/** What was kept with an error, as a field of its outcome. */
export function judgedOf(error: unknown): { readonly judged?: Judged } {
  if (typeof error !== 'object' || error === null) return {}
  const judged = judgements.get(error)
  return judged === undefined ? {} : { judged }
}

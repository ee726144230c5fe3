/**
 * Retries the failed part of a run: what did not complete, each job after what it needs and what
 * holds it back, in calls of some hundred. A process that dies between two calls leaves a run that
 * has ended as before: its end comes last. A repeat finds what is left.
 */
import { readStoredOptions } from '../../app/new-job.ts'
import { isFinal } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'

/** Jobs of one call. */
const chunk = 500

/** Calls the store. */
type Call = <T>(call: (store: Store) => Promise<T>) => Promise<T>

/** A job of the failed part. */
export interface Failed {
  readonly id: string
  /** What it needs, with whether it runs when that fails. */
  readonly needs: readonly { readonly id: string; readonly goesOn: boolean }[]
  readonly holds: readonly string[]
}

export function failedOf({ id, options }: StoredJob): Failed {
  const node = readStoredOptions(options)?.node
  const needs = (node?.needs ?? []).map(([need, onFailed]) => ({
    id: need,
    goesOn: onFailed === 'run',
  }))
  return { id, needs, holds: node?.holds ?? [] }
}

/** Retries jobs of a run; returns how many. */
export async function retryFailed(call: Call, failed: readonly Failed[]): Promise<number> {
  const ordered = inOrder(failed)
  const retried = new Set<string>()
  for (let from = 0; from < ordered.length; from += chunk) {
    const some = ordered.slice(from, from + chunk)
    const fit = from === 0 ? some : await fitOf(call, some, retried)
    const ids = fit.map(({ id }) => id)
    const answers = await call((store) => store.retry(ids))
    for (const [n, id] of ids.entries()) if (answers[n] === 'retried') retried.add(id)
  }
  return retried.size
}

/** Leaves out those for which a need failed once more, in the part that was retried before. */
async function fitOf(
  call: Call,
  some: readonly Failed[],
  retried: ReadonlySet<string>,
): Promise<readonly Failed[]> {
  const needed = some.flatMap(({ needs }) => needs.filter(({ goesOn }) => !goesOn))
  const asked = [...new Set(needed.map(({ id }) => id))].filter((id) => retried.has(id))
  const bad = new Set<string>()
  for (let from = 0; from < asked.length; from += chunk) {
    const ids = asked.slice(from, from + chunk)
    for (const job of await call((store) => store.get(ids)))
      if (job !== null && isFinal(job.state) && job.state !== 'completed') bad.add(job.id)
  }
  return some.filter(({ id, needs }) => {
    const isFit = needs.every((need) => need.goesOn || !bad.has(need.id))
    if (!isFit) bad.add(id)
    return isFit
  })
}

/** Each after what it needs and what holds it back; else as they came. */
function inOrder(failed: readonly Failed[]): readonly Failed[] {
  const byId = new Map(failed.map((one) => [one.id, one]))
  const after = new Map<string, string[]>(failed.map(({ id }) => [id, []]))
  const open = new Map<string, number>(failed.map(({ id }) => [id, 0]))
  const comesAfter = (id: string, first: string): void => {
    if (!byId.has(id) || !byId.has(first)) return
    after.get(first)?.push(id)
    open.set(id, (open.get(id) ?? 0) + 1)
  }
  for (const { id, needs, holds } of failed) {
    for (const need of needs) comesAfter(id, need.id)
    for (const held of holds) comesAfter(held, id)
  }
  const ordered = failed.filter(({ id }) => open.get(id) === 0)
  for (const { id } of ordered) {
    for (const next of after.get(id) ?? []) {
      const left = (open.get(next) ?? 0) - 1
      open.set(next, left)
      const one = byId.get(next)
      if (left === 0 && one !== undefined) ordered.push(one)
    }
  }
  return ordered
}

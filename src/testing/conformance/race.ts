/** What races have in common. */
import assert from 'node:assert/strict'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { claimOf } from './jobs.ts'
import type { Scene } from './scene.ts'

/** A lock that is held for so long is no call's. */
const seemsHeldMs = 100

/** Two clients beside the scene's own. */
export async function twoClients(scene: Scene): Promise<[Store, Store]> {
  return [await scene.another(), await scene.another()]
}

/** Makes two calls at once, the first one first in even rounds and last in odd ones. */
export async function both<A, B>(
  round: number,
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<[A, B]> {
  if (round % 2 === 0) return Promise.all([first(), second()])
  const answer = second()
  return Promise.all([first(), answer])
}

/**
 * The same, unless a call had to wait for so long that it may have taken the other's lock for one that stays, as on a busy machine:
 * then null, for a round that says nothing.
 */
export async function bothPromptly<A, B>(
  round: number,
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<[A, B] | null> {
  const from = performance.now()
  const answers = await both(round, first, second)
  return performance.now() - from < seemsHeldMs ? answers : null
}

/** Claims, three at a time, until nothing is left. */
export async function drain(client: Store): Promise<ClaimedJob[]> {
  const all: ClaimedJob[] = []
  for (;;) {
    const { jobs } = await client.claim(claimOf({ limit: 3 }))
    if (jobs.length === 0) return all
    all.push(...jobs)
  }
}

/** The same ids, in whatever order. */
export function assertSame(actual: readonly string[], expected: readonly string[]): void {
  assert.deepEqual([...actual].sort(), [...expected].sort())
}

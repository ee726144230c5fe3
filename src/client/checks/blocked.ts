/**
 * Blocked jobs that would wait for ever: what each waits for is derived anew from what was stored
 * with it (its needs) and with others (whom they hold back), not from the store's own notes of who
 * waits for whom, so that a fault in those shows.
 */
import { readStoredOptions } from '../../app/new-job.ts'
import { sleep } from '../../core/clock.ts'
import { isFinal, jobStates } from '../../core/job.ts'
import { performance } from '../../core/timers.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Page } from '../../store/readers.ts'
import type { Store } from '../../store/store.ts'
import { counted } from '../../core/words.ts'
import { fail, ok, type Check } from './finding.ts'
import type { Inspected } from './inspected.ts'

/**
 * How much is looked at: for how long in all, of jobs in one page, and at once among the needed
 * ones, whose outputs come along; and of the needs of one job in one round. A page is bounded in
 * bytes, too. A hundred thousand blocked jobs take ten seconds on a file.
 */
const most = { ms: 15_000, page: 1_000, needed: 100, needsAtOnce: 10, suspects: 1_000 } as const

/** After a page it rests for a part of the time that the page took, so that others get theirs. */
const rest = { part: 0.5, mostMs: 250 } as const

/** A job may just be on its way: what looks stuck is looked at again after this, in ms. */
const againMs = 1_000

const openStates = jobStates.filter((state) => !isFinal(state))

/** Jobs that wait for others of which none is left. */
export const checkBlocked: Check<Inspected> = async ({ store }) => {
  const counts = await store.counts()
  const all = counts.reduce((sum, { state, count }) => sum + (state === 'blocked' ? count : 0), 0)
  if (all === 0) return [ok('blocked jobs', 'none')]
  const { suspects, looked, isAll } = await suspectsOf(store, all)
  const forever = suspects.length === 0 ? [] : await stillStuck(store, suspects)
  if (forever.length === 0) {
    const which = isAll ? 'each' : `each of the newest ${looked.toLocaleString('en')}`
    return [ok('blocked jobs', `${which} waits for one that has not ended`)]
  }
  const wait = forever.length === 1 ? 'waits' : 'wait'
  return [
    fail(
      'blocked jobs',
      `${counted(forever.length, 'job')} ${wait} for others that have ended: ${forever.slice(0, 5).join(', ')}`,
      'This must not be. Cancel them, retry them, and report it: errand jobs cancel <id>',
    ),
  ]
}

/**
 * Ids of blocked jobs that nothing seems to hold back any more. It stops after `all` blocked jobs,
 * since a store may read through every job in search of another one.
 */
async function suspectsOf(
  store: Store,
  all: number,
): Promise<{
  readonly suspects: readonly string[]
  readonly looked: number
  readonly isAll: boolean
}> {
  const suspects: string[] = []
  const until = performance.now() + most.ms
  let looked = 0
  let after: string | null = null
  const isAll = (): boolean => after === null || looked >= all
  do {
    const began = performance.now()
    const cursor: { after?: string } = after === null ? {} : { after }
    const query = { states: ['blocked'] as const, limit: most.page, ...cursor }
    const page: Page = await store.list(query)
    suspects.push(...(await stuckOf(store, page.jobs)))
    looked += page.jobs.length
    after = page.next
    if (!isAll())
      await sleep(
        store.clock,
        Math.min(rest.mostMs, Math.ceil((performance.now() - began) * rest.part)),
      )
  } while (!isAll() && performance.now() < until && suspects.length < most.suspects)
  return { suspects: suspects.slice(0, most.suspects), looked, isAll: isAll() }
}

/** Those of the suspects that are stuck still. */
async function stillStuck(store: Store, suspects: readonly string[]): Promise<readonly string[]> {
  await sleep(store.clock, againMs)
  const stuck: string[] = []
  for (let from = 0; from < suspects.length; from += most.needed) {
    const found = await store.get(suspects.slice(from, from + most.needed))
    stuck.push(...(await stuckOf(store, found.filter(isBlocked))))
  }
  return stuck
}

function isBlocked(job: StoredJob | null): job is StoredJob {
  return job?.state === 'blocked'
}

/** Which of some blocked jobs need only what has ended, and are held back by nothing else. */
async function stuckOf(store: Store, jobs: readonly StoredJob[]): Promise<readonly string[]> {
  const isOpen = new Map<string, boolean>(jobs.map(({ id }) => [id, true]))
  // Of a job at the end of a workflow the last needs are those that end last.
  let undecided = jobs.flatMap((job) => {
    const needs = needsOf(job).toReversed()
    return needs.length === 0 || needs.some((need) => isOpen.get(need)) ? [] : [{ job, needs }]
  })
  const stuck: StoredJob[] = []
  for (let from = 0; undecided.length > 0; from += most.needsAtOnce) {
    const to = from + most.needsAtOnce
    const asked = new Set(undecided.flatMap(({ needs }) => needs.slice(from, to)))
    await look(
      store,
      [...asked].filter((id) => !isOpen.has(id)),
      isOpen,
    )
    undecided = undecided.filter(({ job, needs }) => {
      if (needs.slice(from, to).some((need) => isOpen.get(need))) return false
      if (to < needs.length) return true
      stuck.push(job)
      return false
    })
  }
  const held = await heldBack(store, stuck)
  return stuck.map(({ id }) => id).filter((id) => !held.has(id))
}

async function look(
  store: Store,
  ids: readonly string[],
  isOpen: Map<string, boolean>,
): Promise<void> {
  for (let from = 0; from < ids.length; from += most.needed) {
    const some = ids.slice(from, from + most.needed)
    const found = await store.get(some)
    for (const [n, id] of some.entries()) {
      const job = found[n] ?? null
      isOpen.set(id, job !== null && !isFinal(job.state))
    }
  }
}

/** Which jobs wait for what others of their group added, and what has not ended. */
async function heldBack(store: Store, jobs: readonly StoredJob[]): Promise<ReadonlySet<string>> {
  const held = new Set<string>()
  for (const group of new Set(jobs.flatMap((job) => job.group ?? []))) {
    let after: string | null = null
    do {
      const cursor: { after?: string } = after === null ? {} : { after }
      const query = { group, states: openStates, limit: most.page, ...cursor }
      const page: Page = await store.list(query)
      for (const { options } of page.jobs)
        for (const id of readStoredOptions(options)?.node?.holds ?? []) held.add(id)
      after = page.next
    } while (after !== null)
  }
  return held
}

function needsOf({ options }: StoredJob): readonly string[] {
  return (readStoredOptions(options)?.node?.needs ?? []).map(([need]) => need)
}

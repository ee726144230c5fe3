/** What came of a job, and what it came from, as a tree. */
import { isHiddenTask } from '../app/built-in-tasks.ts'
import { readStoredOptions } from '../app/new-job.ts'
import { endTaskName } from '../app/workflow-end.ts'
import type { StoredJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import { stateWord } from './job-words.ts'
import { paint } from './terminal.ts'

/** How far a tree goes up and down, and how many jobs it shows. */
const bounds = { deep: 20, jobs: 500, page: 100 } as const

/** A job with those that it brought about: follow-ups, what its handler enqueued, what runs before it, nodes of a workflow. */
interface Branch {
  readonly job: StoredJob
  readonly branches: readonly Branch[]
}

/** Draws the whole tree that a job is part of, from its root; the job itself is marked. */
export async function treeOf(store: Store, job: StoredJob): Promise<readonly string[]> {
  const seen = new Set<string>()
  const root = await branchOf(store, await rootOf(store, job), seen, 0)
  const lines: string[] = []
  draw(root, { first: '', rest: '' }, job.id, lines)
  if (seen.size >= bounds.jobs) lines.push(paint('dim', `… and more than ${bounds.jobs} jobs`))
  return lines
}

async function rootOf(store: Store, job: StoredJob): Promise<StoredJob> {
  let root = job
  for (let up = 0; up < bounds.deep; up += 1) {
    const above = root.parent ?? (root.id === root.group ? null : root.group)
    const [found] = above === null ? [] : await store.get([above]).catch(() => [])
    if (!found) return root
    root = found
  }
  return root
}

async function branchOf(
  store: Store,
  job: StoredJob,
  seen: Set<string>,
  deep: number,
): Promise<Branch> {
  seen.add(job.id)
  const branches: Branch[] = []
  if (deep < bounds.deep) {
    for (const child of await childrenOf(store, job)) {
      if (seen.size >= bounds.jobs) break
      if (!seen.has(child.id)) branches.push(await branchOf(store, child, seen, deep + 1))
    }
  }
  return { job, branches }
}

/** Oldest first. */
async function childrenOf(store: Store, job: StoredJob): Promise<readonly StoredJob[]> {
  const isRun = job.task === endTaskName && job.id === job.group
  const query = isRun ? { group: job.id } : { parent: job.id }
  const found: StoredJob[] = []
  let after: string | null = null
  do {
    const cursor: { after?: string } = after === null ? {} : { after }
    const page = await store.list({ ...query, limit: bounds.page, ...cursor })
    found.push(
      ...page.jobs.filter(
        ({ id, parent, task }) =>
          id !== job.id && !isHiddenTask(task) && (!isRun || parent === null),
      ),
    )
    after = page.next
  } while (after !== null && found.length < bounds.jobs)
  return found.reverse()
}

function draw(
  { job, branches }: Branch,
  at: { readonly first: string; readonly rest: string },
  marked: string,
  lines: string[],
): void {
  const name = readStoredOptions(job.options)?.node?.name
  const title = name === undefined || name === '' ? job.task : name
  const state = `${stateWord(job.state)}${job.reason === null ? '' : ` (${job.reason})`}`
  const mark = job.id === marked ? paint('bold', ' ←') : ''
  lines.push(`${at.first}${title}  ${state}  ${paint('dim', job.id)}${mark}`)
  for (const [n, branch] of branches.entries()) {
    const isLast = n === branches.length - 1
    const first = `${at.rest}${isLast ? '└─ ' : '├─ '}`
    draw(branch, { first, rest: `${at.rest}${isLast ? '   ' : '│  '}` }, marked, lines)
  }
}

/** Which follow-ups a job must have, by how it ended and by the table of kinds. */
import { followUpId } from '../../src/core/id.ts'
import type { StoredJob } from '../../src/store/job.ts'
import { linesOf, type Story } from './history.ts'
import { kindOf, type Kind } from './scenario.ts'

/** What is wrong with the follow-ups of a job, in words. */
export function wrongFollowUps({ record, lines, children }: Story): readonly string[] {
  if (record === null) return children.map(({ id }) => `${id} follows a job that is not there`)
  const kind = kindOf(record.task)
  const expected = followUpsOfEnd(record, kind)
  const unexplained = new Map(children.map((child) => [child.id, child]))
  const wrong: string[] = []
  for (const [id, task] of expected) {
    if (unexplained.get(id)?.task !== task) wrong.push(`its follow-up ${task} ${id} is missing`)
    unexplained.delete(id)
  }
  // Accepted postponements carry what their attempts enqueued; the record tells how many there were.
  let postponed = 0
  for (const token of new Set(linesOf(lines, 'handed').map((line) => line.token))) {
    const ids = enqueuedIds(record.id, token, kind)
    if (!ids.some((id) => unexplained.has(id))) continue
    postponed++
    if (!ids.every((id) => unexplained.delete(id))) {
      wrong.push(`the jobs that it enqueued under token ${token} are not all there`)
    }
  }
  const { postpones } = record.counters
  if (kind.enqueues !== undefined && postponed !== postpones) {
    wrong.push(`it was postponed ${postpones} times, but ${postponed} such attempts enqueued jobs`)
  }
  for (const [id, { task }] of unexplained) wrong.push(`${task} ${id} follows it without a reason`)
  return wrong
}

/** By id, the tasks of the jobs that its end has brought about. */
function followUpsOfEnd({ id, token, state }: StoredJob, kind: Kind): ReadonlyMap<string, string> {
  const named = (edge: string, tasks: readonly string[] = []): [string, string][] =>
    tasks.map((task, i) => [followUpId(id, token, `${edge}-${i}`), task])
  const enqueued = enqueuedIds(id, token, kind).map((one): [string, string] => [one, 'leaf'])
  switch (state) {
    case 'completed':
      return new Map([
        ...named('success-task', kind.onSuccess),
        ...named('success-call', kind.call?.onSuccess),
        ...enqueued,
      ])
    case 'failed':
      return new Map(named('failure-task', kind.onFailure))
    case 'discarded':
      return new Map(enqueued)
    case 'cancelled':
    case 'blocked':
    case 'scheduled':
    case 'ready':
    case 'running':
      return new Map()
  }
}

function enqueuedIds(id: string, token: number, kind: Kind): readonly string[] {
  return Array.from({ length: kind.enqueues ?? 0 }, (_, i) => followUpId(id, token, `enqueue-${i}`))
}

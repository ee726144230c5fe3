/** Names of queues that commands are given. */
import { ErrandError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import type { Errand } from '../errand.ts'

/** A slip of the pen must not pause a queue that nobody has. Where workers serve any name, any name is good. */
export async function checkQueueNames(errand: Errand, names: readonly string[]): Promise<void> {
  const [queues, tasks, workers] = await Promise.all([
    errand.queues.list(),
    errand.tasks.list(),
    errand.workers.list(),
  ])
  const served = workers.flatMap((worker) => worker.queues)
  if (served.includes('*')) return
  const ofJobs = [...queues.map(({ name }) => name), ...tasks.map(({ queue }) => queue)]
  const known = [...new Set([...ofJobs, ...served])]
  for (const name of names) {
    if (known.includes(name)) continue
    const meant = nearest(name, known)
    const others =
      known.length === 0 ? 'No job, task or worker names one.' : `Known are ${known.join(', ')}.`
    throw new ErrandError(
      'unknown-queue',
      `No queue is called ${name}. ${meant === null ? others : `Did you mean ${meant}?`}`,
    )
  }
}

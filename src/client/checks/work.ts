/** Checks of the work itself: queues, workers, and jobs that need somebody. */
import { counted, quoted } from '../../core/words.ts'
import type { JobFilter } from '../job-filter.ts'
import type { JobRecord } from '../job-record.ts'
import { ok, warn, type Check, type Finding } from './finding.ts'
import type { Inspected } from './inspected.ts'

/** Jobs that a check looks at, at most, so that doctor is quick on a large store. */
const sampled = 5_000
const page = 1_000
const slackMs = 60_000
const hour = 3_600_000

/** Queues that are paused. */
export const checkQueues: Check<Inspected> = async ({ queues }) => {
  const all = await queues.list()
  const paused = all.filter((queue) => queue.paused).map(({ name }) => name)
  return paused.length === 0
    ? [ok('queues', `${counted(all.length, 'queue')}, none paused`)]
    : [
        warn(
          'queues',
          `paused: ${paused.join(', ')}`,
          `Resume with: errand queues resume ${paused.map(quoted).join(' ')}`,
        ),
      ]
}

/** Workers that were lost, and queues that nobody serves. */
export const checkWorkers: Check<Inspected> = async ({ workers, queues }) => {
  const all = await workers.list()
  const running = all.filter(({ state, slots }) => state === 'running' && slots > 0)
  const lost = all.filter(({ state }) => state === 'lost')
  const findings: Finding[] = [
    running.length === 0
      ? warn('workers', 'none runs', 'Start one: errand worker')
      : ok(
          'workers',
          `${running.length} running, ${running.reduce((sum, { slots }) => sum + slots, 0)} slots`,
        ),
  ]
  if (lost.length > 0) {
    const where = lost.map(({ host, pid }) => `${host} (pid ${pid})`).slice(0, 5)
    findings.push(
      warn(
        'lost workers',
        `${lost.length} within a day: ${where.join(', ')}`,
        'Look for kills, crashes and lack of memory there.',
      ),
    )
  }
  const served = new Set(running.flatMap((worker) => worker.queues))
  for (const { name, paused, counts } of await queues.list()) {
    const waiting = counts.ready ?? 0
    if (paused || waiting === 0 || running.length === 0 || served.has('*') || served.has(name))
      continue
    findings.push(
      warn(
        'queues',
        `${counted(waiting, 'job')} ready in ${name}, which no worker serves`,
        `Start one: errand worker --queue ${quoted(name)}`,
      ),
    )
  }
  return findings
}

/** Jobs of tasks that no worker knows. */
export const checkUnknownTasks: Check<Inspected> = async (errand) => {
  const waiting = await sample(errand, { state: 'scheduled' }, ({ deferrals }) => deferrals > 0)
  if (waiting.length === 0) return [ok('unknown tasks', 'none waiting')]
  const names = [...new Set(waiting.map(({ task }) => task))]
  return [
    warn(
      'unknown tasks',
      `${counted(waiting.length, 'job')} of ${names.slice(0, 5).join(', ')}`,
      'Deploy workers that have these tasks, or remove the jobs: errand jobs remove --task <name>',
    ),
  ]
}

/** Jobs that failed, and those among them that killed their workers or could not be read. */
export const checkFailed: Check<Inspected> = async (errand) => {
  const counts = await errand.jobs.counts()
  const failed = counts.reduce((sum, { state, count }) => sum + (state === 'failed' ? count : 0), 0)
  if (failed === 0) return [ok('failed jobs', 'none')]
  const notable = await sample(
    errand,
    { state: 'failed' },
    ({ reason }) => reason === 'poison' || reason === 'unreadable',
  )
  const poison = notable.filter(({ reason }) => reason === 'poison')
  const unreadable = notable.filter(({ reason }) => reason === 'unreadable')
  return [
    warn(
      'failed jobs',
      `${failed.toLocaleString('en')} kept`,
      'See errand jobs list --state failed; run them again with errand jobs retry.',
    ),
    ...(poison.length === 0
      ? []
      : [
          warn(
            'poison jobs',
            `${counted(poison.length, 'job')} lost its worker again and again: ${[...new Set(poison.map(({ task }) => task))].slice(0, 5).join(', ')}`,
            'Look for crashes and lack of memory in these tasks.',
          ),
        ]),
    ...(unreadable.length === 0
      ? []
      : [
          warn(
            'unreadable jobs',
            `${counted(unreadable.length, 'job')} whose times or counters no program of Errand wrote, failed without a run`,
            'Find out what else writes to the store. Look at each with errand jobs show <id>, enqueue its input anew, then errand jobs remove <id>.',
          ),
        ]),
  ]
}

/** Running jobs whose lease ended long ago: nobody who knows their task sweeps. */
export const checkStuck: Check<Inspected> = async (errand) => {
  const now = errand.store.clock.now()
  const stuck = await sample(
    errand,
    { state: 'running' },
    ({ leaseUntil }) => leaseUntil !== null && leaseUntil.getTime() < now - slackMs,
  )
  if (stuck.length === 0) return [ok('stuck jobs', 'none')]
  return [
    warn(
      'stuck jobs',
      `${counted(stuck.length, 'job')} of workers that are gone`,
      'They are rescued once a worker runs that has their tasks: errand worker',
    ),
  ]
}

/** Ended jobs that should be gone. */
export const checkRetention: Check<Inspected> = async (errand) => {
  const counts = await errand.jobs.counts()
  const kept = counts.reduce((sum, { state, count }) => sum + (isEnd(state) ? count : 0), 0)
  const now = errand.store.clock.now()
  const late = await sample(
    errand,
    { finished: { to: new Date(now - hour) } },
    ({ expiresAt }) => expiresAt !== null && expiresAt.getTime() < now - hour,
  )
  const text = `${counted(kept, 'ended job')} kept`
  return late.length === 0
    ? [ok('retention', text)]
    : [
        warn(
          'retention',
          `${text}, ${late.length} or more for too long`,
          'Workers remove them: let one run.',
        ),
      ]
}

async function sample(
  { jobs }: Inspected,
  filter: JobFilter,
  isMeant: (job: JobRecord) => boolean,
): Promise<readonly JobRecord[]> {
  const found: JobRecord[] = []
  let after: string | null = null
  for (let seen = 0; seen < sampled; seen += page) {
    const answer = await jobs.list({ ...filter, limit: page, ...(after === null ? {} : { after }) })
    found.push(...answer.jobs.filter(isMeant))
    after = answer.next
    if (after === null) break
  }
  return found
}

function isEnd(state: string): boolean {
  return ['completed', 'failed', 'cancelled', 'discarded'].includes(state)
}

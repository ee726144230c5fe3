/** Checks of what watches over work: who renews leases, and whether charts go on. */
import { readHistory } from '../../observe/history/read.ts'
import { ok, warn, type Check } from './finding.ts'
import type { Inspected } from './inspected.ts'

const minute = 60_000

/** Jobs that ended within this time, and not just now, must be in the charts. */
const looked = { fromMs: 10 * minute, toMs: 2 * minute } as const

/** Workers that renew their leases on the event loop, which a handler may block. */
export const checkRenewals: Check<Inspected> = async ({ workers }) => {
  const all = (await workers.list()).filter(({ state, slots }) => state === 'running' && slots > 0)
  const onLoop = all.filter(({ renewer }) => renewer === 'event-loop')
  if (all.length === 0) return []
  if (onLoop.length === 0) return [ok('renewals', 'by a thread, in each worker')]
  const where = onLoop.map(({ host, pid }) => `${host} (pid ${pid})`).slice(0, 5)
  return [
    warn(
      'renewals',
      `on the event loop, in ${onLoop.length} of ${all.length} workers: ${where.join(', ')}`,
      'A handler that blocks it for longer than its lease runs twice. Give the store as a URL or a connect module, not as a live client.',
    ),
  ]
}

/** Charts that do not go on although jobs end. */
export const checkCharts: Check<Inspected> = async ({ store, jobs }) => {
  const now = store.clock.now()
  const finished = { from: new Date(now - looked.fromMs), to: new Date(now - looked.toMs) }
  const { jobs: ended } = await jobs.list({ finished, state: ['completed', 'failed'], limit: 1 })
  if (ended.length === 0) return [ok('charts', 'nothing ended lately')]
  const query = { by: 'minute', from: now - 2 * looked.fromMs, to: now + minute } as const
  const points = await readHistory(store, query)
  if (points.some(({ runs }) => runs.length > 0)) return [ok('charts', 'go on')]
  return [
    warn(
      'charts',
      'jobs end, but no worker writes charts',
      'Look in the logs of workers for failures of the part history; where all set history: false, this is as it should be.',
    ),
  ]
}

/** What of the server and of the way to it puts jobs at risk, or slows them. */
import { randomUUID } from 'node:crypto'
import type { Warning } from '../../store/store.ts'
import type { Source } from './connection.ts'
import type { Database } from './database.ts'
import { manyDead } from './vacuum.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

type Warnings = readonly Warning[]

const heardWithinMs = 2_000

/**
 * The oldest of the transactions that keep dead rows from being removed, in minutes; connections in use and their limit. A user
 * without `pg_read_all_stats` sees its own sessions only. Then the dead rows of `ready`, if they are
 * many and this role may not remove them. Walks views of the server, and locks nothing.
 */
const LOOK = `
SELECT (SELECT floor(max(extract(epoch FROM clock_timestamp() - xact_start)) / 60)::int8 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()),
  (SELECT string_agg(pid::text, ', ') FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - $1 * interval '1 minute'),
  (SELECT string_agg(gid, ', ') FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - $1 * interval '1 minute'),
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections')::int8,
  (SELECT n FROM pg_stat_get_dead_tuples('errand.ready'::regclass) n
    WHERE n > ${manyDead} AND NOT errand.may_vacuum())`

const usual = { oldMinutes: 5 } as const
const nearlyAll = 0.9

/** Asks the server; whether notifications arrive is tried out, unless that is not wanted. */
export async function warningsOf(
  db: Database,
  listening: Source | null | 'not tried',
  { oldMinutes }: { readonly oldMinutes: number } = usual,
): Promise<Warnings> {
  await db.setup()
  const [[minutes, pids, prepared, connections, most, dead] = []] = await db.readOnce(LOOK, [
    oldMinutes,
  ])
  const found: { text: string; advice: string }[] = []
  if (db.durability?.fsync === false) {
    found.push({
      text: 'fsync is off: a power failure may destroy the database, jobs and all',
      advice: 'Set fsync = on in postgresql.conf, unless losing everything is acceptable.',
    })
  }
  if (pids !== null) {
    found.push({
      text: `a transaction has been open for ${minutes} min (pid ${pids}): dead rows cannot be removed meanwhile`,
      advice: 'End it, or pg_terminate_backend(pid); set idle_in_transaction_session_timeout.',
    })
  }
  if (prepared !== null) {
    found.push({
      text: `prepared transactions are left open: ${prepared}`,
      advice: 'COMMIT PREPARED or ROLLBACK PREPARED them: they keep dead rows from being removed.',
    })
  }
  if (Number(connections) > Number(most) * nearlyAll) {
    found.push({
      text: `${connections} of ${most} connections of the server are taken`,
      advice: 'Raise max_connections, or put a pooler between.',
    })
  }
  if (dead !== null) {
    found.push({
      text: `${dead} dead rows of ready slow claims, and this role may not vacuum that table`,
      advice:
        'Connect as its owner, or GRANT MAINTAIN on it (PostgreSQL 17), or wait for autovacuum.',
    })
  }
  if (listening !== 'not tried' && !(await hears(db, listening))) {
    found.push({
      text: 'notifications do not arrive: work of other processes is found by polling, up to 30 s later',
      advice:
        'Through a pooler, name the server itself: listen: "postgres://…", or &listen= in the URL.',
    })
  }
  return found
}

/** Whether what is told on one connection is heard on that which listens. */
async function hears(db: Database, listening: Source | null): Promise<boolean> {
  if (listening === null) return false
  const channel = `errand_${randomUUID()}`
  const held = await listening.holdListening()
  const { promise: heard, resolve: hear } = Promise.withResolvers<boolean>()
  const onMessage = ({ channel: from }: { readonly channel: string }): void => {
    if (from === channel) hear(true)
  }
  held.client.on('notification', onMessage)
  const timer = setTimeout(() => hear(false), heardWithinMs)
  try {
    await held.run({ text: `LISTEN "${channel}"` })
    await db.readOnce('SELECT pg_notify($1, $2)', [channel, ''])
    return await heard
  } finally {
    clearTimeout(timer)
    held.client.removeListener('notification', onMessage)
    await held.run({ text: `UNLISTEN "${channel}"` }).catch(() => {})
    held.release(false)
  }
}

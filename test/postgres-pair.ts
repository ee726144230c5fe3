/** A PostgreSQL server and one that follows it synchronously, so that what is acknowledged survives the loss of the first. */
import { comesUp } from './services.ts'
import {
  query,
  startPostgres,
  startStandby,
  type PostgresServer,
  type PostgresSettings,
} from './postgres-server.ts'

type Server = PostgresServer & { readonly url: string }

/** What becomes of the old primary: it is killed, or stays with its connections and takes no writes any more, as Aurora's does. */
export type Fate = 'gone' | 'read-only'

export interface PostgresPair {
  /** The server that takes writes. */
  readonly primary: Server
  /** Promotes the standby. Resolves when it takes writes, and is the primary; then there is no standby. */
  failOver(fate: Fate): Promise<void>
  /** Ends what is left of the old primary, and lets a new standby follow. */
  mend(): Promise<void>
  stop(): Promise<void>
}

export async function startPair(settings: PostgresSettings): Promise<PostgresPair> {
  let primary = await startPostgres(settings)
  let standby: Server | null = await followed(primary, settings)
  const old = new Set<Server>()
  return {
    get primary() {
      return primary
    },
    async failOver(fate) {
      if (standby === null) throw new Error('there is no standby: mend() the pair first')
      old.add(primary)
      if (fate === 'gone') await primary.kill('SIGKILL')
      else {
        await query(primary.url, 'ALTER SYSTEM SET default_transaction_read_only = on')
        await query(primary.url, 'SELECT pg_reload_conf()')
      }
      await query(standby.url, 'SELECT pg_promote()')
      await comesUp('the new primary', async () => {
        const [row] = await query(standby!.url, 'SELECT pg_is_in_recovery() AS follows')
        if (row?.['follows'] !== false) throw new Error('it follows still')
      })
      primary = standby
      standby = null
    },
    async mend() {
      for (const server of old) await server.stop()
      old.clear()
      standby = await followed(primary, settings)
    },
    async stop() {
      for (const server of [primary, standby, ...old]) await server?.stop()
    },
  }
}

/** A standby that has everything that the primary acknowledges, from when this resolves. */
async function followed(primary: Server, settings: PostgresSettings): Promise<Server> {
  const standby = await startStandby(primary, settings)
  await query(primary.url, `ALTER SYSTEM SET synchronous_standby_names = '*'`)
  await query(primary.url, 'SELECT pg_reload_conf()')
  await comesUp('replication', async () => {
    const rows = await query(
      primary.url,
      `SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'`,
    )
    if (rows.length === 0) throw new Error('nobody follows synchronously')
  })
  return standby
}

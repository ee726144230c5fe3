/**
 * The schema, as numbered migrations. The functions in it are part of it: each migration is additive for those that run the
 * release before, and what only that release needs goes one release later.
 */
import { ErrandError } from '../../core/errors.ts'
import { claimFunctions } from './claim.ts'
import { clockFunctions } from './clock.ts'
import type { Runner } from './connection.ts'
import { coordinationFunctions } from './coordination.ts'
import type { DurabilitySettings } from './durability.ts'
import { endingFunctions } from './needs.ts'
import { endWaitFunctions } from './end-waits.ts'
import { erasureFunctions } from './erasures.ts'
import { finishingFunctions } from './settle-plain.ts'
import { heldFunctions } from './held.ts'
import { insertingFunctions } from './insert-one.ts'
import { intakeFunctions } from './insert-batch.ts'
import { leaseFunctions } from './leases.ts'
import { lineFunctions } from './lines.ts'
import { lockFunctions } from './locks.ts'
import { numberingFunctions } from './numbering.ts'
import { operatorFunctions } from './operators.ts'
import { outputFunctions } from './outputs.ts'
import { mixedFunctions } from './insert-mixed.ts'
import { ordinaryFunctions } from './insert-plain.ts'
import { publicFunctions } from './sql-enqueue.ts'
import { readerViews } from './readers.ts'
import { recordFunctions } from './records.ts'
import { rescueFunctions } from './rescue.ts'
import { retentionFunctions } from './retention.ts'
import { runRecordFunctions } from './run-records.ts'
import { settlingFunctions } from './settle.ts'
import { tables } from './tables.ts'
import { tallyFunctions } from './tally.ts'
import { unblockingFunctions } from './unblocking.ts'
import { uniqueFunctions } from './uniques.ts'
import { vacuumFunctions } from './vacuum.ts'

/** The newest schema that this code knows. */
const schemaVersion = 1
/** Unlogged sequences came with this: see `new_token`. */
const oldestServer = 15

const migrations: readonly string[] = [
  [
    tables,
    readerViews,
    clockFunctions,
    numberingFunctions,
    tallyFunctions,
    erasureFunctions,
    heldFunctions,
    uniqueFunctions,
    lineFunctions,
    coordinationFunctions,
    leaseFunctions,
    runRecordFunctions,
    outputFunctions,
    endingFunctions,
    claimFunctions,
    rescueFunctions,
    recordFunctions,
    endWaitFunctions,
    ordinaryFunctions,
    insertingFunctions,
    intakeFunctions,
    mixedFunctions,
    unblockingFunctions,
    finishingFunctions,
    settlingFunctions,
    operatorFunctions,
    retentionFunctions,
    vacuumFunctions,
    publicFunctions,
    lockFunctions,
    // They run with the rights of their caller. Where PUBLIC has lost EXECUTE by default, rights on the tables would not do.
    'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA errand TO PUBLIC;',
  ].join('\n'),
]

/** Walks the catalog by name, by the statement's own snapshot: what `to_regclass` remembers may be older than the lock that was waited for. */
const HAS_META = `SELECT EXISTS (
  SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'meta' AND n.nspname || '.' = 'errand.'),
  current_setting('server_version_num')::int, current_setting('synchronous_commit'), current_setting('fsync')`
const READ_VERSION = `SELECT value FROM errand.meta WHERE name = 'schema'`
const CREATE_META = `CREATE SCHEMA IF NOT EXISTS errand; CREATE TABLE errand.meta (name text PRIMARY KEY, value int8 NOT NULL)`
const WRITE_VERSION = `INSERT INTO errand.meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
/** One migrates, the others wait and find it done. Walks no table. */
const LOCK = `SELECT pg_advisory_xact_lock(hashtext('errand.migrations'), 0)`

/** Brings the schema up to date; safe from many processes at once. Answers what the server says of durability. */
export async function migrate(run: Runner, location: string): Promise<DurabilitySettings> {
  const [[hasMeta, server, synchronous, fsync] = []] = await run(HAS_META)
  const settings = { synchronousCommit: String(synchronous), fsync: fsync !== 'off' }
  if ((server as number) < oldestServer * 10_000) {
    throw new ErrandError(
      'store-unavailable',
      `${location} is older than PostgreSQL ${oldestServer}: upgrade the server`,
      { details: { location, server } },
    )
  }
  if (hasMeta === true && (await readVersion(run, location)) === schemaVersion) return settings
  await run('BEGIN')
  try {
    await run(LOCK)
    const [[exists] = []] = await run(HAS_META)
    if (exists !== true) await run(CREATE_META)
    const version = await readVersion(run, location)
    if (exists === true && version === 0) throw emptied(location)
    for (const migration of migrations.slice(version)) await run(migration)
    await run(WRITE_VERSION, [schemaVersion])
    await run('COMMIT')
  } catch (error) {
    await run('ROLLBACK').catch(() => {})
    throw error
  }
  return settings
}

/** Tables and version come in one transaction, so that one without the other was not Errand's doing. */
function emptied(location: string): ErrandError {
  return new ErrandError(
    'store-corrupt',
    `${location}: its table meta does not tell a version: it was emptied, or is not Errand's. Restore it from a backup, drop the schema to begin anew, or choose another`,
    { details: { location } },
  )
}

/** The version of the schema, 0 for none. Throws `store-too-new` for one that is newer than this code. */
async function readVersion(run: Runner, location: string): Promise<number> {
  const [[value] = []] = await run(READ_VERSION)
  const version = (value as number | undefined) ?? 0
  if (version > schemaVersion) {
    throw new ErrandError(
      'store-too-new',
      `${location} was written by a newer Errand (schema ${version}, this one knows ${schemaVersion}): upgrade errand in this program`,
      { details: { location, found: version, known: schemaVersion } },
    )
  }
  return version
}

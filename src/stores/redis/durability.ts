/** What the server's own settings make of jobs: what survives, and what puts them at risk. */
import type { Warning } from '../../store/store.ts'
import type { Connection } from './connection.ts'

/** What survives, as long as the server was not asked. */
export const unknownDurability = 'as Redis is configured; known once connected'

type Fields = Readonly<Record<string, string>>
type Warnings = readonly Warning[]

const oldestServer = 7
/** The share of maxmemory from which on it is worth a warning. */
const nearlyFull = 0.8

/** Says what the server's persistence gives. */
export async function readDurability(connection: Connection): Promise<string> {
  try {
    const [persistence, replication] = await Promise.all([
      fieldsOf(connection, 'persistence'),
      fieldsOf(connection, 'replication'),
    ])
    const kept =
      persistence['aof_enabled'] === '1'
        ? ofAppendOnlyFile(await setting(connection, 'appendfsync'))
        : ofSnapshots(await setting(connection, 'save'))
    const hasReplicas = Number(replication['connected_slaves'] ?? 0) > 0
    return hasReplicas
      ? `${kept}; replication is asynchronous: a fail-over may lose the last moments`
      : kept
  } catch {
    return 'as Redis is configured: this user may not ask (INFO)'
  }
}

/** Says what puts jobs at risk. On a cluster one node answers for all. */
export async function readWarnings(connection: Connection): Promise<Warnings> {
  const [server, persistence, memory] = await Promise.all(
    ['server', 'persistence', 'memory'].map((section) =>
      fieldsOf(connection, section).catch(() => null),
    ),
  )
  if (!server || !persistence || !memory) {
    return [
      {
        text: 'this user may not ask how Redis is set up',
        advice: 'Grant it +info +config|get, so that risks to jobs can be told.',
      },
    ]
  }
  return [
    ...ofAge(server),
    ...ofPersistence(persistence, await setting(connection, 'save')),
    ...ofMemory(memory),
  ]
}

function ofAge(server: Fields): Warnings {
  const version = server['redis_version'] ?? ''
  if (Number.parseInt(version, 10) >= oldestServer) return []
  return [
    {
      text: `Redis ${version} is older than ${oldestServer}`,
      advice: `Errand is not tested on it: upgrade to Redis ${oldestServer} or Valkey 8.`,
    },
  ]
}

function ofPersistence(persistence: Fields, save: string | null): Warnings {
  const found: { text: string; advice: string }[] = []
  if (persistence['aof_enabled'] !== '1') {
    found.push({
      text:
        save === ''
          ? 'Redis keeps nothing on disk: all jobs are gone when it is killed or restarted'
          : 'Redis has no append-only file: what came after its last snapshot is gone when it is killed',
      advice: 'Turn it on: CONFIG SET appendonly yes, and in redis.conf.',
    })
  }
  if (
    persistence['aof_last_write_status'] === 'err' ||
    persistence['rdb_last_bgsave_status'] === 'err'
  ) {
    found.push({
      text: 'Redis could not write its data to disk',
      advice: 'Look into its log, and whether the disk is full.',
    })
  }
  return found
}

function ofMemory(memory: Fields): Warnings {
  const found: { text: string; advice: string }[] = []
  const policy = memory['maxmemory_policy'] ?? 'noeviction'
  if (policy !== 'noeviction') {
    found.push({
      text: `maxmemory-policy is ${policy}: REDIS MAY THROW JOBS AWAY when its memory is full`,
      advice: 'CONFIG SET maxmemory-policy noeviction, and in redis.conf.',
    })
  }
  const [used, most] = [Number(memory['used_memory'] ?? 0), Number(memory['maxmemory'] ?? 0)]
  if (most > 0 && used > most * nearlyFull) {
    found.push({
      text: `${Math.round((used / most) * 100)} % of maxmemory is used; when it is full, new jobs are refused`,
      advice: 'Raise maxmemory, or keep finished jobs for a shorter time (retention).',
    })
  }
  return found
}

function ofAppendOnlyFile(sync: string | null): string {
  const common = 'survives a killed server (append-only file)'
  if (sync === 'always') return `${common} and a power failure (appendfsync always)`
  // While a sync is under way, for up to two seconds, the server does not even write.
  if (sync === 'everysec')
    return `${common}, but for two seconds if its disk is slow; a power failure may take these (appendfsync everysec)`
  const how = sync === null ? 'as appendfsync is set' : `appendfsync ${sync}`
  return `${common}; a power failure may take the last moments (${how})`
}

function ofSnapshots(save: string | null): string {
  if (save === '') return 'nothing survives a killed server (no append-only file, no snapshots)'
  return 'a killed server loses what came after its last snapshot (no append-only file)'
}

/** A setting of the server; null when this user may not ask. */
function setting(connection: Connection, name: string): Promise<string | null> {
  return connection.setting(name).catch(() => null)
}

async function fieldsOf(connection: Connection, section: string): Promise<Fields> {
  const info = await connection.info(section)
  return Object.fromEntries(
    info
      .split(/\r?\n/)
      .filter((line) => line.includes(':'))
      .map((line) => {
        const at = line.indexOf(':')
        return [line.slice(0, at), line.slice(at + 1)]
      }),
  )
}

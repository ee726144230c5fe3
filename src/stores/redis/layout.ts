/** The layout of a store's keys, written into each partition at the first call, and what the server makes of durability. */
import { ErrandError } from '../../core/errors.ts'
import type { Connection } from './connection.ts'
import type { Partition } from './partition.ts'
import { relentlessLua, scriptOf } from './script.ts'

/** The newest layout that this code knows. */
const layoutVersion = 1

const HELLO = scriptOf(
  'hello',
  [relentlessLua],
  `
-- ARGV[4...5]: layout, number of partitions
local layout, partitions = nextArg(), nextArg()
local found = call('HMGET', root .. 'meta', 'layout', 'partitions')
-- A long value keeps 'running' from being searched from its start each time, as Redis does with short hashes of short values.
call('HSETNX', root .. 'running', '', string.rep('-', 128))
if found[1] then return { tonumber(found[1]), tonumber(found[2]) } end
call('HSET', root .. 'meta', 'layout', layout, 'partitions', partitions)
return { tonumber(layout), tonumber(partitions) }
`,
)

/** Makes sure that the partitions are laid out as this code and its options expect. */
export async function checkLayout(
  partitions: readonly Partition[],
  location: string,
): Promise<void> {
  const args = [String(layoutVersion), String(partitions.length)]
  const found = (await Promise.all(
    partitions.map((partition) => partition.run(HELLO, args)),
  )) as (readonly [layout: number, partitions: number])[]
  for (const [layout, count] of found) {
    if (layout > layoutVersion) {
      throw new ErrandError(
        'store-too-new',
        `The store on Redis at ${location} was made by a newer Errand (layout ${layout}, this one knows ${layoutVersion}): upgrade errand in this program`,
        { details: { location, found: layout, known: layoutVersion } },
      )
    }
    if (count !== partitions.length) {
      throw new ErrandError(
        'invalid-config',
        `The store on Redis at ${location} has ${count} partitions, not ${partitions.length}: set partitions to ${count}, or choose another prefix`,
        { details: { location, found: count, given: partitions.length } },
      )
    }
  }
}

/** What survives, as long as the server was not asked. */
export const unknownDurability = 'as Redis is configured; known once connected'

/** Says what the server's persistence gives, and warns of what puts jobs at risk. */
export async function readDurability(connection: Connection): Promise<string> {
  try {
    const [persistence = {}, memory = {}, replication = {}] = await Promise.all(
      ['persistence', 'memory', 'replication'].map(async (section) =>
        fieldsOf(await connection.info(section)),
      ),
    )
    const setting = async (name: string): Promise<string | null> =>
      connection.setting(name).catch(() => null)
    const kept =
      persistence['aof_enabled'] === '1'
        ? ofAppendOnlyFile(await setting('appendfsync'))
        : ofSnapshots(await setting('save'))
    return [kept, ...warnings(memory, replication)].join('; ')
  } catch {
    return 'as Redis is configured: this user may not ask (INFO)'
  }
}

function ofAppendOnlyFile(sync: string | null): string {
  const common = 'survives a killed server (append-only file)'
  if (sync === 'always') return `${common} and a power failure (appendfsync always)`
  if (sync === 'everysec')
    return `${common}; a power failure may take the last second (appendfsync everysec)`
  const how = sync === null ? 'as appendfsync is set' : `appendfsync ${sync}`
  return `${common}; a power failure may take the last moments (${how})`
}

function ofSnapshots(save: string | null): string {
  if (save === '')
    return 'nothing survives a killed server (no append-only file, no snapshots): set appendonly yes'
  return 'a killed server loses what came after its last snapshot (no append-only file): set appendonly yes'
}

function warnings(
  memory: Readonly<Record<string, string>>,
  replication: Readonly<Record<string, string>>,
): string[] {
  const found: string[] = []
  const policy = memory['maxmemory_policy'] ?? 'noeviction'
  if (policy !== 'noeviction') {
    found.push(
      `WARNING: maxmemory-policy is ${policy}, so that Redis may throw jobs away; set it to noeviction`,
    )
  }
  if (replication['role'] === 'slave') found.push('WARNING: this server is a read-only replica')
  else if (Number(replication['connected_slaves'] ?? 0) > 0)
    found.push('replication is asynchronous: a fail-over may lose the last moments')
  return found
}

function fieldsOf(info: string): Record<string, string> {
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

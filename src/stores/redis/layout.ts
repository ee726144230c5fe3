/**
 * The layout of a store's keys, written into `meta` of each partition before the first call. No
 * other script makes a `meta`, and none runs without it: where one is missing, jobs may lie
 * elsewhere, on the node that the partition is coming from or in a backup.
 */
import { ErrandError } from '../../core/errors.ts'
import { lostError } from './errors.ts'
import type { Partition } from './partitions/partition.ts'
import { layoutScriptOf } from './script.ts'

/** The newest layout that this code knows. */
const layoutVersion = 1

const LOOK = layoutScriptOf(
  'look',
  `
local meta = call('HGETALL', root .. 'meta')
if #meta == 0 then
  local left = call('EXISTS', root .. 'running', root .. 'tally', root .. 'queues', root .. 'chunks', root .. 'workers', root .. 'tasks',
    root .. 'records', root .. 'scheduled', root .. 'leases', root .. 'keeps')
  return { left > 0 and 'broken' or 'none', 0, 0 }
end
local fields = {}
for n = 1, #meta, 2 do fields[meta[n]] = meta[n + 1] end
local used = (tonumber(fields.token) or 0) > 0 or (tonumber(fields.seq) or 0) >= CHUNK
return { used and 'used' or 'unused', tonumber(fields.layout), tonumber(fields.partitions) }
`,
)

const LAY_OUT = layoutScriptOf(
  'lay out',
  `
-- ARGV[4...5]: layout, number of partitions
if call('EXISTS', root .. 'meta') == 1 then return end
-- The first rank begins a chunk of the log. Quick scripts take a meta without token and ticket for
-- none.
call('HSET', root .. 'meta', 'layout', nextArg(), 'partitions', nextArg(), 'seq', CHUNK - 1, 'token', 0, 'ticket', 0)
-- A long value keeps 'running' from being searched from its start each time, as Redis does with
-- short hashes of short values.
call('HSETNX', root .. 'running', '', string.rep('-', 128))
`,
)

type Look = readonly [state: 'none' | 'broken' | 'unused' | 'used', layout: number, count: number]

/**
 * Makes sure that the partitions are laid out as this code and its options expect, and lays out
 * those of a new store: partitions are all made before the first is used, so that one that is
 * missing beside a used one was lost. `mayBeNew` is false for a store that was seen before and may
 * have moved.
 */
export async function checkLayout(
  partitions: readonly Partition[],
  location: string,
  mayBeNew: boolean,
): Promise<void> {
  const look = async (): Promise<{ readonly missing: Partition[]; readonly isNew: boolean }> => {
    const looks = (await Promise.all(partitions.map((partition) => partition.run(LOOK)))) as Look[]
    for (const [state, layout, count] of looks)
      if (state === 'used' || state === 'unused') check({ layout, count }, partitions, location)
    return {
      missing: partitions.filter((_, n) => isMissing(looks[n])),
      isNew: looks.every(([state]) => state === 'none' || state === 'unused'),
    }
  }
  let { missing, isNew } = await look()
  // Others may have made and used the store meanwhile; if so, all of it is there now.
  if (missing.length > 0 && !isNew) ({ missing, isNew } = await look())
  const [first] = missing
  if (first === undefined) return
  if (!isNew || !mayBeNew) throw lostError(location, first.root)
  const args = [String(layoutVersion), String(partitions.length)]
  await Promise.all(missing.map((partition) => partition.run(LAY_OUT, args)))
}

function isMissing(look: Look | undefined): boolean {
  return look?.[0] === 'none' || look?.[0] === 'broken'
}

function check(
  { layout, count }: { readonly layout: number; readonly count: number },
  partitions: readonly Partition[],
  location: string,
): void {
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

/** The layout of a store's keys, written into each partition at the first call. */
import { ErrandError } from '../../core/errors.ts'
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

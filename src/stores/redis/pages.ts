/** Lists of any length out of scripts that each list so many at most. */

/** The most items that one script lists. */
export const mostListed = 1_000

/**
 * Gathers pages until there are `limit` items or no more. `page` lists those after an item; null
 * from the first.
 */
export async function gathered<T>(
  limit: number,
  page: (after: T | null, limit: number) => Promise<readonly T[]>,
): Promise<T[]> {
  const all: T[] = []
  while (all.length < limit) {
    const most = Math.min(limit - all.length, mostListed)
    const some = await page(all.at(-1) ?? null, most)
    all.push(...some)
    if (some.length < most) break
  }
  return all
}

/** Randomness that a seed repeats. */

/** Answers numbers in [0, 1). */
export type Random = () => number

/** Mulberry32, started from a text. */
export function randomOf(seed: string): Random {
  let state = 0
  for (const char of seed) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x9e3779b1) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function between(random: Random, from: number, to: number): number {
  return from + random() * (to - from)
}

export function whole(random: Random, from: number, to: number): number {
  return Math.floor(between(random, from, to + 1))
}

/** Draws one of a list; nothing of an empty one. */
export function draw<T>(random: Random, all: readonly T[]): T | undefined {
  return all[whole(random, 0, all.length - 1)]
}

/** All of a list, in an order that is drawn. */
export function inAnyOrder<T>(random: Random, all: readonly T[]): T[] {
  const keyed = all.map((one) => ({ one, key: random() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ one }) => one)
}

/** Draws one, by the weight that each has. */
export function weighted<T extends { readonly share: number }>(
  random: Random,
  all: readonly T[],
): T {
  let left = random() * all.reduce((sum, { share }) => sum + share, 0)
  for (const one of all) if ((left -= one.share) < 0) return one
  return all.at(-1)!
}

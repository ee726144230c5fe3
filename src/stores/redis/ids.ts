/**
 * Job ids as they lie in Redis: 22 characters instead of 36, which sort as the ids do. A UUID is 32 hexadecimal digits;
 * each three of them become two characters of an alphabet of 64 in the order of ASCII, the last two count as `xx0`.
 */
const alphabet = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

/** How long a packed id is. */
export const packedLength = 22

const pairs: readonly string[] = Array.from(
  { length: 4_096 },
  (_, n) => `${alphabet[n >> 6]}${alphabet[n & 63]}`,
)
const triples: readonly string[] = Array.from({ length: 4_096 }, (_, n) =>
  n.toString(16).padStart(3, '0'),
)

const none = -1
const digits = new Int8Array(128).fill(none)
for (let n = 0; n < 16; n++) digits[n.toString(16).charCodeAt(0)] = n
const letters = new Int8Array(128)
for (let n = 0; n < 64; n++) letters[alphabet.charCodeAt(n)] = n

/** Three digits of a text as one number; negative, or 4096 and more, when one of them is none. */
function group(id: string, a: number, b: number, c: number): number {
  return (
    ((digits[id.charCodeAt(a)] ?? none) << 8) |
    ((digits[id.charCodeAt(b)] ?? none) << 4) |
    (digits[id.charCodeAt(c)] ?? none)
  )
}

/** Packs an id. What is no UUID in lower case becomes a text that no job has. */
export function packId(id: string): string {
  const g0 = group(id, 0, 1, 2)
  const g1 = group(id, 3, 4, 5)
  const g2 = group(id, 6, 7, 9)
  const g3 = group(id, 10, 11, 12)
  const g4 = group(id, 14, 15, 16)
  const g5 = group(id, 17, 19, 20)
  const g6 = group(id, 21, 22, 24)
  const g7 = group(id, 25, 26, 27)
  const g8 = group(id, 28, 29, 30)
  const g9 = group(id, 31, 32, 33)
  const last =
    ((digits[id.charCodeAt(34)] ?? none) << 8) | ((digits[id.charCodeAt(35)] ?? none) << 4)
  const all = g0 | g1 | g2 | g3 | g4 | g5 | g6 | g7 | g8 | g9 | last
  if (all < 0 || all > 0xfff || id.length !== 36) return `!${id.replaceAll(/[\t\n]/g, ' ')}`
  return (
    of(g0) +
    of(g1) +
    of(g2) +
    of(g3) +
    of(g4) +
    of(g5) +
    of(g6) +
    of(g7) +
    of(g8) +
    of(g9) +
    of(last)
  )
}

function of(group: number): string {
  return pairs[group] ?? ''
}

/** Whether `packId` met an id that can be stored. */
export function isPacked(packed: string): boolean {
  return packed.length === packedLength && !packed.startsWith('!')
}

/** Unpacks the id that begins at an offset of a text. */
export function unpackId(text: string, offset = 0): string {
  let hex = ''
  for (let n = offset; n < offset + packedLength; n += 2) {
    const high = letters[text.charCodeAt(n)] ?? 0
    const low = letters[text.charCodeAt(n + 1)] ?? 0
    hex += triples[(high << 6) | low] ?? ''
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

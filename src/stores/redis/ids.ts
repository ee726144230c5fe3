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

const digits = new Int8Array(128).fill(-1)
for (let n = 0; n < 16; n++) digits[n.toString(16).charCodeAt(0)] = n
const letters = new Int8Array(128)
for (let n = 0; n < 64; n++) letters[alphabet.charCodeAt(n)] = n

/** Where the digits of a UUID stand. */
const places: readonly number[] = Array.from({ length: 36 }, (_, n) => n).filter(
  (n) => n !== 8 && n !== 13 && n !== 18 && n !== 23,
)

/** Packs an id. What is no UUID in lower case becomes a text that no job has. */
export function packId(id: string): string {
  if (id.length !== 36) return `!${id.replaceAll(/[\t\n]/g, ' ')}`
  let packed = ''
  let group = 0
  for (let n = 0; n < 32; n++) {
    const code = id.charCodeAt(places[n] ?? 0)
    const digit = code < 128 ? (digits[code] ?? -1) : -1
    if (digit < 0) return `!${id.replaceAll(/[\t\n]/g, ' ')}`
    group = (group << 4) | digit
    if (n % 3 === 2) {
      packed += pairs[group] ?? ''
      group = 0
    }
  }
  return packed + (pairs[group << 4] ?? '')
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

/**
 * Job ids as they lie in Redis: 22 characters instead of 36, which sort as the ids do. A UUID is 32
 * hexadecimal digits; each three of them become two characters of an alphabet of 64 in the order of
 * ASCII, the last two count as `xx0`.
 */
const alphabet = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

/** How long a packed id is. */
export const packedLength = 22

const codes = Uint8Array.from(alphabet, (letter) => letter.charCodeAt(0))
const letters = new Int8Array(128)
for (const [n, code] of codes.entries()) letters[code] = n

const none = -1
const hex = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
const digits = new Int8Array(128).fill(none)
for (const [n, code] of hex.entries()) digits[code] = n

/** How long an id is, and where in it its digits are. */
const idLength = 36
const dashes: readonly number[] = [8, 13, 18, 23]
const places = Uint8Array.from(
  Array.from({ length: idLength }, (_, place) => place).filter((place) => !dashes.includes(place)),
)

// Ids are written into these and read from there, in one step each: this is done for every job, and
// pieces of text are dear.
const packed: Buffer = Buffer.alloc(packedLength)
const unpacked: Buffer = Buffer.alloc(idLength, '-')

/** A digit of an id; negative when there is none. */
function digitAt(id: string, n: number): number {
  return digits[id.charCodeAt(places[n] ?? idLength)] ?? none
}

/** Packs an id. What is no UUID in lower case becomes a text that no job has. */
export function packId(id: string): string {
  let all = 0
  for (let n = 0; n < packedLength; n += 2) {
    const digit = (n >> 1) * 3
    const third = digit + 2 < places.length ? digitAt(id, digit + 2) : 0
    const group = (digitAt(id, digit) << 8) | (digitAt(id, digit + 1) << 4) | third
    all |= group
    packed[n] = codes[(group >> 6) & 63] ?? 0
    packed[n + 1] = codes[group & 63] ?? 0
  }
  if (all < 0 || id.length !== idLength) return `!${id.replaceAll(/[\t\n]/g, ' ')}`
  return packed.toString('latin1')
}

/** Whether `packId` met an id that can be stored. */
export function isPacked(packed: string): boolean {
  return packed.length === packedLength && !packed.startsWith('!')
}

/** Unpacks the id that begins at an offset of a text. */
export function unpackId(text: string, offset = 0): string {
  for (let n = 0; n < packedLength; n += 2) {
    const high = letters[text.charCodeAt(offset + n)] ?? 0
    const low = letters[text.charCodeAt(offset + n + 1)] ?? 0
    const group = (high << 6) | low
    const digit = (n >> 1) * 3
    unpacked[places[digit] ?? 0] = hex[group >> 8] ?? 0
    unpacked[places[digit + 1] ?? 0] = hex[(group >> 4) & 15] ?? 0
    if (digit + 2 < places.length) unpacked[places[digit + 2] ?? 0] = hex[group & 15] ?? 0
  }
  return unpacked.toString('latin1')
}

/**
 * The one rule for text: what a store keeps is well-formed Unicode without NUL. PostgreSQL holds no other text, and other stores
 * make two texts one. Names and keys are refused where they break it; what people only read is made to fit.
 */
import { ErrandError, type ErrandErrorCode } from './errors.ts'

/** The longest name of a task, a queue, a singleton or a codec. */
const longestName = 200

const control = /\p{Cc}/u

/** Makes any text fit: half of a surrogate pair becomes U+FFFD, and NUL the visible ␀. */
export function cleanText(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed()
  return whole.includes('\0') ? whole.replaceAll('\0', '␀') : whole
}

/** Makes a text fit and shortens it to so many bytes, never inside a character; its end says how much is left out. */
export function cutText(
  text: string,
  mostBytes: number,
  bytesOf: (text: string) => number = utf8Bytes,
): string {
  // A character has a byte at least, so no more of an enormous text is looked at.
  let head = cleanText(headOf(text, mostBytes))
  if (head.length >= text.length && bytesOf(head) <= mostBytes) return head
  for (;;) {
    const cut = `${head}… (${text.length - head.length} more characters)`
    const bytes = bytesOf(cut)
    if (bytes <= mostBytes || head === '') return cut
    head = headOf(head, Math.floor((head.length * mostBytes) / bytes))
  }
}

/** Refuses a name that is empty, too long, no text, or that a store cannot keep as it is. */
export function checkName(
  name: unknown,
  where: string,
  code: Extract<ErrandErrorCode, 'invalid-option' | 'invalid-task'> = 'invalid-option',
): asserts name is string {
  if (typeof name === 'string' && isName(name)) return
  throw new ErrandError(
    code,
    `${where}: a name has 1 to ${longestName} characters, none of them half an emoji or a control character; this is ${shown(name)}.`,
  )
}

/** Whether a text may be a name. */
export function isName(text: string): boolean {
  return text !== '' && text.length <= longestName && isPlain(text)
}

/** Whether a text is kept by every store as it is, and does no harm where it is shown. */
export function isPlain(text: string): boolean {
  return text.isWellFormed() && !control.test(text)
}

/** A value as a message may show it: JSON escapes what is no plain text. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(cutText(value, 100)) : `a ${typeof value}`
}

/** The first characters of a text, without half of a surrogate pair at the end. */
function headOf(text: string, length: number): string {
  const isSplit = length < text.length && isHighSurrogate(text.charCodeAt(length - 1))
  return text.slice(0, isSplit ? length - 1 : length)
}

function utf8Bytes(text: string): number {
  return Buffer.byteLength(text)
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/** Ids that follow from others, so that a repeat gives the same id again. */
import { createHash } from 'node:crypto'

/**
 * The id of a follow-up: a UUIDv7 with its parent's time and a hash of (parent, token, edge) in place of randomness.
 */
export function followUpId(parent: string, token: number, edge: string): string {
  const hash = createHash('sha256').update(`${parent}/${token}/${edge}`).digest('hex')
  const variant = ((Number.parseInt(hash.slice(3, 4), 16) & 0x3) | 0x8).toString(16)
  return `${parent.slice(0, 14)}7${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Tells whether a text has the form of a job id. */
export function isJobId(text: string): boolean {
  return uuid.test(text)
}

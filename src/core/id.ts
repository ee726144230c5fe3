/** Ids that follow from others, so that a repeat gives the same id again. */
import { hash } from 'node:crypto'

/**
 * The id of a follow-up: a UUIDv7 with its parent's time and a hash of (parent, token, edge) in place of randomness.
 */
export function followUpId(parent: string, token: number, edge: string): string {
  return derivedId(parent.slice(0, 14), `${parent}/${token}/${edge}`)
}

/**
 * The id of a job that is called by another: like that of a follow-up, but the same in each attempt
 * of its parent. `round` counts how often an operator had the parent make the call anew.
 */
export function callId(parent: string, name: string, round: number): string {
  return derivedId(parent.slice(0, 14), `${parent}/call-${round}/${name}`)
}

/** The id of what is named by a text and belongs to a time, in milliseconds: a UUIDv7 with a hash of the text. */
export function idOfTime(ms: number, text: string): string {
  const hex = Math.min(Math.max(0, ms), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0')
  return derivedId(`${hex.slice(0, 8)}-${hex.slice(8)}-`, text)
}

function derivedId(time: string, text: string): string {
  const hex = hash('sha256', text)
  const variant = ((Number.parseInt(hex.slice(3, 4), 16) & 0x3) | 0x8).toString(16)
  return `${time}7${hex.slice(0, 3)}-${variant}${hex.slice(4, 7)}-${hex.slice(7, 19)}`
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Tells whether a text has the form of a job id. */
export function isJobId(text: string): boolean {
  return uuid.test(text)
}

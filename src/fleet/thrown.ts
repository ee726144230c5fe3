/** Thrown values on their way between threads and processes: their words cross, not the objects. */
import type { Duration } from '../core/duration.ts'
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import {
  Discard,
  instructionOf,
  Postpone,
  RetryAfter,
  Unrecoverable,
  type Instruction,
} from '../core/instructions.ts'
import { keepError, messageOf } from '../core/kept-error.ts'

/** What is kept of a thrown value. */
export type Thrown =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null | undefined }
  | {
      readonly kind: 'object'
      readonly type: string
      readonly message: string
      readonly stack: string | null
      readonly code: string | null
      /** Whether it is an `ErrandError`. */
      readonly isErrand: boolean
      readonly instruction: Instruction | null
    }

/** Takes down a thrown value. Never throws, whatever the value does. */
export function takeDown(thrown: unknown): Thrown {
  switch (typeof thrown) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return { kind: 'value', value: typeof thrown === 'string' ? messageOf(thrown) : thrown }
    case 'bigint':
    case 'symbol':
    case 'function':
    case 'object':
      if (thrown === null) return { kind: 'value', value: null }
  }
  const { type, message, stack, code } = keepError(thrown, 0, 0)
  const isErrand = isErrandError(thrown)
  return { kind: 'object', type, message, stack, code, isErrand, instruction: asked(thrown) }
}

/** A delay may be anything; what is no duration is sent as text, which is none either. */
function asked(thrown: unknown): Instruction | null {
  const instruction = instructionOf(thrown)
  if (instruction === null || !('delay' in instruction)) return instruction
  const { kind, delay } = instruction
  const isPlain = delay === undefined || typeof delay === 'string' || typeof delay === 'number'
  return { kind, delay: isPlain ? delay : messageOf(delay) }
}

/** Makes the like of a thrown value again: a copy with its name, message, stack and code. */
export function bringBack(thrown: Thrown): unknown {
  if (thrown.kind === 'value') return thrown.value
  const { type, message, stack, code, isErrand, instruction } = thrown
  if (instruction !== null) return withStack(instructed(instruction, message), stack)
  if (isErrand) return withStack(new ErrandError(code as ErrandErrorCode, message), stack)
  if (stack === null) return { name: type, message, ...(code === null ? {} : { code }) }
  return withStack(new CopiedError(type, message, code), stack)
}

class CopiedError extends Error {
  override readonly name: string
  readonly code?: string

  constructor(name: string, message: string, code: string | null) {
    super(message)
    this.name = name
    if (code !== null) this.code = code
  }
}

function instructed(instruction: Instruction, message: string): Error {
  switch (instruction.kind) {
    case 'postpone':
      return new Postpone(instruction.delay as Duration | undefined)
    case 'discard':
      return new Discard(instruction.reason)
    case 'unrecoverable':
      return new Unrecoverable(message)
    case 'retry-after':
      return new RetryAfter(instruction.delay as Duration, { message })
  }
}

function withStack(error: Error, stack: string | null): Error {
  if (stack !== null) error.stack = stack
  return error
}

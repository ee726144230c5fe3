/** Errors on their way out of a thread: their words and code cross, not the object. */
import { ErrandError, isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { errorText } from '../core/kept-error.ts'

export interface SentError {
  /** Null for an error that is not Errand's own. */
  readonly code: ErrandErrorCode | null
  readonly message: string
}

/** What a thread sends of an error. Never throws. */
export function sentError(error: unknown): SentError {
  return isErrandError(error)
    ? { code: error.code, message: error.message }
    : { code: null, message: errorText(error) }
}

/** The error that a thread sent, for listeners that read its code and message. */
export function receivedError({ code, message }: SentError): Error {
  return code === null ? new Error(message) : new ErrandError(code, message)
}

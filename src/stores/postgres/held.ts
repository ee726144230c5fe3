/**
 * Rows that a transaction of a user holds. The server lets no call wait for one for longer than a
 * moment, since it holds rows and a connection itself meanwhile; what it is worth to wait longer is
 * done here, between calls.
 */
import { isErrandError } from '../../core/errors.ts'
import { performance, setTimeout } from '../../core/timers.ts'
import { callPatienceMs, heldMs } from './plan-settings.ts'

/**
 * `call_patience` returns the lock timeout of calls that are sent again when they meet a held row;
 * tests put another in.
 */
export const heldFunctions: string = `
CREATE FUNCTION errand.call_patience() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '${callPatienceMs}' $$;
`

const pauseMs = 100
/** For how long calls go apart after one that met a held row, in ms. */
const apartForMs = 1_000

/** Whether a call ended because a row was held for too long; it has written nothing. */
function isHeld(error: unknown): boolean {
  return isErrandError(error, 'store-busy') && error.details['code'] === '55P03'
}

/**
 * Tries a call again, with pauses, while a row that it needs is held. Rejects with `store-busy` in
 * the end.
 */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const until = performance.now() + heldMs
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!isHeld(error) || performance.now() > until) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random())))
  }
}

/**
 * Carries a call for many out at one go, which is the cheap way; when it meets a held row, then
 * again with each of them apart, so that only those that need this row go without. Calls that
 * follow soon are carried out apart at once, for they may meet it too.
 */
export class Apart {
  #until = -Infinity

  /** `mark` is in an answer when one of the call was held. */
  async run(mark: string, call: (isApart: boolean) => Promise<string>): Promise<string> {
    if (performance.now() >= this.#until) {
      try {
        return await call(false)
      } catch (error) {
        if (!isHeld(error)) throw error
      }
    }
    const answer = await call(true)
    if (answer.includes(mark)) this.#until = performance.now() + apartForMs
    return answer
  }
}

/** Who looks, and what they may do. */
import { signal } from '@preact/signals'
import { backOffMs, call, isAway, Problem } from './api.ts'
import { unfollow } from './stream.ts'
import type { Scope, Session } from './types.ts'

/** `needed` asks for a token; null is not known yet. */
export const session = signal<Session | 'needed' | null>(null)

/** Why nothing can be said of the session: the manager is away. */
export const sessionError = signal<string | null>(null)

/**
 * A token that was just made, which is shown this once. The first token ends the time in which none was needed: then the
 * page that asks for one shows it.
 */
export const madeToken = signal<string | null>(null)

let failures = 0
let again: ReturnType<typeof setTimeout> | undefined

/** Reads the session; while nothing is known of it, once more some time after a failure. */
export async function readSession(): Promise<void> {
  clearTimeout(again)
  try {
    session.value = await call<Session>('GET', 'v1/session')
    sessionError.value = null
    failures = 0
  } catch (error) {
    if (error instanceof Problem && error.status === 401) session.value = 'needed'
    else sessionError.value = error instanceof Error ? error.message : String(error)
    failures += 1
    if (session.value === null && isAway(error))
      again = setTimeout(() => void readSession(), backOffMs(failures))
  }
}

/** Rejects with a `Problem` for a token that is not known. */
export async function signIn(token: string): Promise<void> {
  session.value = await call<Session>('POST', 'v1/session', { body: { token } })
  madeToken.value = null
}

export async function signOut(): Promise<void> {
  await call('DELETE', 'v1/session').catch(() => undefined)
  unfollow()
  session.value = 'needed'
}

export function may(scope: Scope): boolean {
  const who = session.value
  return who !== null && who !== 'needed' && who.scopes.includes(scope)
}

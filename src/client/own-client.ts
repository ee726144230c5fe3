/**
 * The client behind an app, for parts of Errand that are made from an app as users hold it, such as
 * the manager; not part of the public type.
 */
import { ErrandError } from '../core/errors.ts'
import type { Client } from './client.ts'

/** The same in all copies of Errand: the program and the app may come from two. */
export const ownClient: unique symbol = Symbol.for('errand.client') as never

export interface HasClient {
  readonly [ownClient]: Client
}

/** The client of an app. Throws `invalid-option` for what `createErrand` did not make. */
export function clientOf(app: object): Client {
  if (ownClient in app) return app[ownClient] as Client
  throw new ErrandError('invalid-option', 'This takes an app as createErrand() returns it.')
}

/**
 * Whether an app logs by its own configuration, so that a command adds no log of its own; not part
 * of the public type.
 */

/** The same in all copies of Errand: the command and the app may come from two. */
export const ownLog: unique symbol = Symbol.for('errand.own-log') as never

export interface HasOwnLog {
  readonly [ownLog]: boolean
}

/** Whether the configuration of an app has a `log`. */
export function hasOwnLog(app: object): boolean {
  return ownLog in app && app[ownLog] === true
}

/** The hub of an app's events, for parts in front of an app that emit events of their own; not part of the public type. */
import { EventHub } from './events.ts'

/** The same symbol in all copies of Errand: the manager and the app may come from two. */
export const hub: unique symbol = Symbol.for('errand.hub') as never

export interface HasHub {
  readonly [hub]: Pick<EventHub, 'on' | 'emit' | 'has' | 'warn'>
}

/** The hub of an app. An object not made by `createErrand` has none: then warnings go to the process. */
export function hubOf(app: object): HasHub[typeof hub] {
  if (hub in app) return (app as HasHub)[hub]
  const events = new EventHub()
  events.on('warning', ({ message }) => process.emitWarning(message, 'ErrandWarning'))
  return events
}

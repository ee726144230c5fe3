/** The hub of an app's events, for parts that stand before an app and tell of themselves; not part of the public type. */
import { EventHub } from './events.ts'

/** The same in all copies of Errand: the manager and the app may come from two. */
export const hub: unique symbol = Symbol.for('errand.hub') as never

export interface HasHub {
  readonly [hub]: Pick<EventHub, 'on' | 'emit' | 'has' | 'warn'>
}

/** The hub of an app. What is no app of `createErrand` has none: then warnings go to the process. */
export function hubOf(app: object): HasHub[typeof hub] {
  if (hub in app) return (app as HasHub)[hub]
  const events = new EventHub()
  events.on('warning', ({ message }) => process.emitWarning(message, 'ErrandWarning'))
  return events
}

/** Says that a part fails, to those who have set nothing that would tell them. */
import { messageOf } from '../core/kept-error.ts'
import { inLine } from '../core/shown.ts'
import type { EventHub } from './events.ts'

/** Writes one warning of the process, at the first failure of a part that nobody hears of. */
export function sayFailures(events: EventHub): void {
  const stop = events.on('part-failed', ({ part, error }) => {
    if (events.isHeard) return
    stop()
    process.emitWarning(
      inLine(
        `The part ${part} failed: ${messageOf(error)}. This is said once; give createErrand a log, such as console, to see the rest.`,
      ),
      'ErrandWarning',
    )
  })
}

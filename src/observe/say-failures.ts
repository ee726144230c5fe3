/** Reports a failing part on stderr to users who have set up nothing that would report it. */
import { messageOf } from '../core/kept-error.ts'
import { inLine } from '../core/shown.ts'
import type { EventHub } from './events.ts'

/** Emits one process warning, at the first failure of a part that nobody listens to. */
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

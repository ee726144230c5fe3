/** Signals that end a command which goes on until it is stopped. */
import { constants } from 'node:os'
import { remark } from './terminal.ts'

const signals = ['SIGTERM', 'SIGINT'] as const

/** Calls `stop` at the first signal; a second one ends the process at once. */
export function onStopSignal(stop: () => void): void {
  let isStopping = false
  for (const signal of signals) {
    process.on(signal, () => {
      if (isStopping) process.exit(128 + constants.signals[signal])
      isStopping = true
      if (process.stderr.isTTY) remark('Stopping; once more to exit at once.')
      stop()
    })
  }
}

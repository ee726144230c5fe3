/**
 * Signals that end a command which goes on until it is stopped. One Ctrl+C may come as several: the terminal sends SIGINT to the whole group,
 * and a tool above, such as concurrently, foreman or tsx, forwards its own as SIGINT or SIGTERM. So what follows the first within a moment
 * is taken for the same wish.
 */
import { constants } from 'node:os'
import { remark } from './terminal.ts'

/** SIGHUP is what a terminal sends when it is closed. */
const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
const sameWishMs = 1_000

/** Calls `then` at each signal, where the system has it. */
export function onSignal(signal: 'SIGUSR2', then: () => void): void {
  if (process.platform !== 'win32') process.on(signal, then)
}

/** Calls `stop` at the first signal; another one, a second or more later, ends the process at once. */
export function onStopSignal(stop: () => void, more: readonly 'SIGUSR2'[] = []): void {
  let firstAt: number | null = null
  const signals = [...stopSignals, ...(process.platform === 'win32' ? [] : more)]
  for (const signal of signals) {
    process.on(signal, () => {
      if (firstAt !== null) {
        if (performance.now() - firstAt >= sameWishMs) process.exit(128 + constants.signals[signal])
        return
      }
      firstAt = performance.now()
      if (process.stderr.isTTY) remark('Stopping; once more, in a second, to exit at once.')
      stop()
    })
  }
}

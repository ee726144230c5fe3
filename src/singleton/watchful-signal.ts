/** The signal of a run. */

/**
 * A signal that aborts with any of those given until the run has ended, and that looks before it answers whether it has. A process that was stopped for longer than its
 * lock lasted goes on where it was, before any timer fires: whoever asks the signal then must not hear that all is well. It belongs to the run alone: those given live longer, and keep nothing of what a
 * handler attaches to it.
 */
export function watchfulSignal(
  signals: readonly AbortSignal[],
  ended: AbortSignal,
  look: () => void,
): AbortSignal {
  const own = new AbortController()
  const { signal } = own
  for (const one of signals) {
    const abort = (): void => own.abort(one.reason)
    if (one.aborted) abort()
    else one.addEventListener('abort', abort, { once: true, signal: ended })
  }
  const isAborted = (): boolean => Reflect.get(AbortSignal.prototype, 'aborted', signal)
  Object.defineProperties(signal, {
    aborted: {
      get: () => {
        look()
        return isAborted()
      },
    },
    throwIfAborted: {
      value: () => {
        look()
        AbortSignal.prototype.throwIfAborted.call(signal)
      },
    },
  })
  return signal
}

/** The signal of a run under a lock. */

/**
 * A signal that aborts with any of those given, and that looks before it answers whether it has. A process that was stopped for longer than its
 * lock lasted goes on where it was, before any timer fires: whoever asks the signal then must not hear that all is well.
 */
export function watchfulSignal(signals: readonly AbortSignal[], look: () => void): AbortSignal {
  const signal = AbortSignal.any([...signals])
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

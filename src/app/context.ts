/** The shared context of a process's handlers: made once, disposed when its last user has let go. */

/** Makes the context when it is first needed and disposes it when nobody needs it any more. */
export class ContextHolder {
  readonly #make: () => unknown
  #users = 0
  #made: Promise<unknown> | null = null

  constructor(make: () => unknown) {
    this.#make = make
  }

  /** Takes the context. Rejects with the maker's own error, and tries again at the next call. */
  async acquire(): Promise<unknown> {
    this.#users++
    this.#made ??= Promise.resolve().then(this.#make)
    try {
      return await this.#made
    } catch (error) {
      this.#users--
      this.#made = null
      throw error
    }
  }

  /** Lets go; the last user disposes the context: itself if it is disposable, else its members, last first. */
  async release(): Promise<void> {
    this.#users--
    if (this.#users > 0 || this.#made === null) return
    const context = await this.#made
    this.#made = null
    await dispose(context)
  }
}

async function dispose(context: unknown): Promise<void> {
  if (typeof context !== 'object' || context === null) return
  const own = disposerOf(context)
  if (own !== null) return void (await own())
  const failures: unknown[] = []
  for (const member of Object.values(context).toReversed()) {
    try {
      await disposerOf(member)?.()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, 'Members of the context failed to be disposed.')
}

function disposerOf(value: unknown): (() => unknown) | null {
  if (typeof value !== 'object' || value === null) return null
  for (const symbol of [Symbol.asyncDispose, Symbol.dispose]) {
    const disposer = (value as Record<symbol, unknown>)[symbol]
    if (typeof disposer === 'function') return () => disposer.call(value) as unknown
  }
  return null
}

/**
 * The machine's timers and its monotonic clock, taken when the program starts: a test that puts its own in the place of the global ones moves
 * its own code, and must not stop Errand's. Who waits says so with a store's clock, which tests replace in its own way.
 */
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout
export const setInterval: typeof globalThis.setInterval = globalThis.setInterval
export const clearInterval: typeof globalThis.clearInterval = globalThis.clearInterval
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate

const { performance: machine } = globalThis

export const performance: { readonly now: () => number } = { now: machine.now.bind(machine) }

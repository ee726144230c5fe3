/** A store whose calls can be made to fail, to hang or to go wrong one by one. */
import type { Store } from '../../src/store/store.ts'

/** What a call is to do: go on, reject with this error, or never answer. */
export type Fault = null | Error | 'hang'

export interface Faulty {
  readonly store: Store
  /** Calls made so far, by name. */
  readonly calls: Map<string, number>
  /** All calls made so far. */
  readonly total: number
  /** Decides about each call from now on. */
  fault: (call: string, args: readonly unknown[]) => Fault
}

export const noFault = (): Fault => null

/** Wraps a store; without a fault it does as ever. */
export function faulty(inner: Store): Faulty {
  const calls = new Map<string, number>()
  const made = {
    calls,
    fault: noFault as Faulty['fault'],
    get total(): number {
      return [...calls.values()].reduce((sum, count) => sum + count, 0)
    },
  }
  const store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      if (name === 'watch' || name === 'close') return member.bind(target) as unknown
      return (...args: readonly unknown[]): unknown => {
        calls.set(name, (calls.get(name) ?? 0) + 1)
        const fault = made.fault(name, args)
        if (fault === 'hang') return new Promise(() => undefined)
        if (fault !== null) return Promise.reject(fault)
        return Reflect.apply(member, target, args) as unknown
      }
    },
  })
  return Object.assign(made, { store })
}

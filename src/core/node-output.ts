/** Typed references: what `node.output` is while a workflow is built, before any output exists. */
import type { Reference } from './references.ts'

declare const referred: unique symbol

/** Stands for a `T` that a node will have come to. Its fields are references, too. */
export type Ref<T> = { readonly [referred]: T } & Fields<T>

type Fields<T> = T extends readonly (infer One)[]
  ? { readonly [index: number]: Ref<One> }
  : T extends object
    ? { readonly [Key in keyof T]-?: Ref<NonNullable<T[Key]>> }
    : unknown

/** A `T` of which any part may be a reference. */
export type Given<T> =
  | T
  | Ref<T>
  | (T extends readonly (infer One)[]
      ? readonly Given<One>[]
      : T extends object
        ? { readonly [Key in keyof T]: Given<T[Key]> }
        : never)

/** What a value with references is once they are resolved. */
export type Resolved<T> = T extends { readonly [referred]: infer Value }
  ? Value
  : T extends readonly (infer One)[]
    ? readonly Resolved<One>[]
    : T extends object
      ? { readonly [Key in keyof T]: Resolved<T[Key]> }
      : T

const references = new WeakMap<object, Reference>()

/** Makes a reference; reading a field of it makes one to that field. */
export function refTo(reference: Reference): Ref<unknown> {
  const proxy = new Proxy(Object.create(null) as object, {
    get(_target, key) {
      // What awaits or prints a reference asks for these, and must not be answered by another one.
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON') return undefined
      return refTo({ ...reference, path: [...reference.path, key] })
    },
    set: () => false,
  })
  references.set(proxy, reference)
  return proxy as Ref<unknown>
}

/** The reference that a value is; null for any other value. */
export function referenceOf(value: unknown): Reference | null {
  return typeof value === 'object' && value !== null ? (references.get(value) ?? null) : null
}

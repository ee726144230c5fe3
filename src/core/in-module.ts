/** What a module exports, named rather than held, so that a thread or process can import it too. */
import { ErrandError } from './errors.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { readText, refuseValue } from './read.ts'

/**
 * Names an export of a module. `Exported` is its type, for the compiler only: `inModule()` makes one
 * that is typed, a plain object is not checked against what it names.
 */
export interface InModule<Exported = unknown> {
  /** The address of the module's file: `new URL('./resize.ts', import.meta.url)`. */
  readonly module: URL | string
  readonly export: string
  /** Only for the compiler. */
  readonly types?: () => Exported
}

/** Where something is imported from, read and checked. */
export interface ModulePlace {
  /** A `file:` URL. */
  readonly url: string
  /** Null for the exported task that has the name of the task. */
  readonly export: string | null
}

/**
 * Names an export of a module with its type.
 *
 * @example
 * import type { resize } from './resize.ts'
 * run: inModule<typeof resize>(new URL('./resize.ts', import.meta.url), 'resize')
 */
export function inModule<Exported>(module: URL | string, name: string): InModule<Exported> {
  return { module: readModule(module, 'inModule()'), export: readText(name, 'inModule()') }
}

/** Whether a value names an export, rather than being it. */
export function isInModule(value: unknown): value is InModule {
  return typeof value === 'object' && value !== null && 'module' in value && 'export' in value
}

/** Checks what names an export. Throws `invalid-option`. */
export function readInModule(given: InModule, where: string): ModulePlace {
  refuseUnknownKeys(given, ['module', 'export', 'types'], where)
  return {
    url: readModule(given.module, `${where}.module`),
    export: readText(given.export, `${where}.export`),
  }
}

/** Checks the address of a module. Throws `invalid-option` for what is no `file:` URL. */
export function readModule(module: unknown, where: string): string {
  const url = URL.parse(typeof module === 'string' ? module : String(module))
  if (url?.protocol === 'file:') return url.href
  return refuseValue(
    where,
    "the URL of a file, such as new URL('./resize.ts', import.meta.url)",
    module instanceof URL ? module.href : module,
  )
}

/** Reads an export of a loaded module. Throws `invalid-task`, naming those that there are. */
export function exportOf(
  module: object,
  place: ModulePlace & { readonly export: string },
): unknown {
  if (Object.hasOwn(module, place.export)) return Reflect.get(module, place.export)
  const names = Object.keys(module)
  throw new ErrandError(
    'invalid-task',
    `${place.url} exports no ${place.export}. ${names.length === 0 ? 'It exports nothing.' : `It exports ${names.slice(0, 10).join(', ')}.`}`,
  )
}

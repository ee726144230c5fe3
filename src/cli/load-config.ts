/** Finds and loads the configuration: a module whose default export is what `createErrand` answers. */
import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ErrandError } from '../core/errors.ts'
import type { Errand } from '../errand.ts'
import { oneLine } from '../core/words.ts'

/** Names of configuration files, in the order in which they are looked for. */
export const configNames: readonly string[] = [
  'errand.config.ts',
  'errand.config.mts',
  'errand.config.js',
  'errand.config.mjs',
]

/** Answers the path of the configuration: the one that is named, or the first of `configNames` in this folder; null for none. */
export function findConfig(named: string | undefined): string | null {
  if (named !== undefined) {
    const path = resolve(named)
    if (existsSync(path)) return path
    throw new ErrandError('invalid-config', `There is no configuration at ${path}.`)
  }
  const found = findConfigIn('.')
  return found === null ? null : resolve(found)
}

/** The name of a folder's configuration; null for none. */
export function findConfigIn(folder: string): string | null {
  return configNames.find((name) => existsSync(resolve(folder, name))) ?? null
}

/** Loads a configuration; TypeScript by Node's own stripping of types. Rejects with `invalid-config`. */
export async function loadConfig(path: string): Promise<Errand> {
  const shown = relative('', path) || path
  const module = (await import(pathToFileURL(path).href).catch(async (cause: unknown) => {
    throw new ErrandError(
      'invalid-config',
      `${shown} does not load: ${await explain(cause, path)}`,
      {
        cause,
      },
    )
  })) as { readonly default?: unknown }
  if (!('default' in module) || isEmptyScript(module)) {
    throw new ErrandError(
      'invalid-config',
      `${shown} has no default export. End it with: export default createErrand({ … })`,
    )
  }
  if (!isErrand(module.default)) {
    throw new ErrandError(
      'invalid-config',
      `The default export of ${shown} is ${nameOf(module.default)}; it must be what createErrand() answers.`,
    )
  }
  return module.default
}

/** A file without any export is taken for CommonJS, and its exports for the default export. */
function isEmptyScript(module: object): boolean {
  if (!('module.exports' in module)) return false
  const exported = module['module.exports']
  return typeof exported === 'object' && exported !== null && Object.keys(exported).length === 0
}

/** By its looks and not by a class: the configuration may bring its own copy of the package. */
function isErrand(value: unknown): value is Errand {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['enqueue', 'worker', 'jobs', 'queues', 'store', 'withStore'].every((name) => name in value)
  )
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (value instanceof Promise) return 'a Promise'
  return typeof value === 'object' ? 'another object' : `a ${typeof value}`
}

async function explain(error: unknown, path: string): Promise<string> {
  if (!(error instanceof Error)) return oneLine(String(error))
  const place = placeOf(error) ?? (error instanceof SyntaxError ? await checkedPlace(path) : null)
  const where = place === null || error.message.includes(place) ? '' : ` (${place})`
  const code = 'code' in error ? error.code : null
  const hint =
    code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
      ? ' Node strips types and transforms nothing: write it without enums, namespaces and parameter properties.'
      : ''
  return `${oneLine(error.message)}${where}.${hint}`.replace(/\.\.(?= |$)/, '.')
}

/** The place that a stack names: its heading for mistakes of syntax, else its first line outside Node and packages. */
function placeOf(error: Error): string | null {
  const lines = (error.stack ?? '').split('\n')
  const heading = /^(?:file:\/\/)?(\/.+|[A-Za-z]:.+):(\d+)$/.exec(lines[0] ?? '')
  if (heading !== null) return `${relative('', heading[1] ?? '')}:${heading[2]}`
  const frame = lines
    .map((line) => /^\s+at .*?(file:\/\/[^\s()]+?):(\d+):\d+\)?$/.exec(line))
    .find((match) => match !== null && !match[1]?.includes('/node_modules/'))
  if (!frame?.[1]) return null
  const file = relative('', fileURLToPath(frame[1]))
  return import.meta.filename.endsWith(file) ? null : `${file}:${frame[2]}`
}

/** V8 does not tell where a module's syntax is wrong; Node's own check does. */
async function checkedPlace(path: string): Promise<string | null> {
  const { spawnSync } = await import('node:child_process')
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8' })
  const heading = /^(?:file:\/\/)?(.+):(\d+)$/m.exec(stderr)
  return heading === null ? null : `${relative('', heading[1] ?? '')}:${heading[2]}`
}

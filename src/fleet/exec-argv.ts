/** Which options of Node a child has. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Isolation, Permissions } from '../core/isolate.ts'

/** Options that say how modules are found and read: with others the same module may not load. */
const aboutModules: ReadonlySet<string> = new Set([
  '--conditions',
  '-C',
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--experimental-transform-types',
  '--experimental-strip-types',
  '--no-experimental-strip-types',
  '--no-strip-types',
  '--experimental-default-type',
  '--preserve-symlinks',
  '--preserve-symlinks-main',
  '--enable-source-maps',
  '--no-warnings',
  '--disable-warning',
  '--experimental-sqlite',
  '--use-system-ca',
  '--use-openssl-ca',
])
const withValue: ReadonlySet<string> = new Set([
  '--conditions',
  '-C',
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--disable-warning',
])

/** Those of a program's options that its children need to load the same modules. */
export function moduleOptions(options: readonly string[]): readonly string[] {
  const kept: string[] = []
  for (let i = 0; i < options.length; i++) {
    const option = options[i] ?? ''
    const [name = ''] = option.split('=', 1)
    if (!aboutModules.has(name)) continue
    kept.push(option)
    const value = options[i + 1]
    if (name === option && withValue.has(name) && value !== undefined) {
      kept.push(value)
      i++
    }
  }
  return kept
}

/** Options that are of one process: its debugger, its own watch, the text that it was given. */
const ofOne =
  /^--(?:inspect|debug-port|watch|test|input-type|eval|print|check|interactive)|^-[epci]/
const withText: ReadonlySet<string> = new Set(['-e', '-p', '-pe', '--eval', '--print'])

/** The options of a program that another process of the same program can have. */
export function programOptions(options: readonly string[]): readonly string[] {
  return options.filter((option, i) => !ofOne.test(option) && !withText.has(options[i - 1] ?? ''))
}

/** The options of an isolated process. `files` are those that it loads first. */
export function processOptions(isolation: Isolation, files: readonly string[]): readonly string[] {
  const { execArgv, memoryMb, permissions } = isolation
  return [
    ...(execArgv ?? moduleOptions(process.execArgv)),
    ...(memoryMb === null ? [] : [`--max-old-space-size=${memoryMb}`]),
    ...(permissions === null ? [] : permissionOptions(permissions, files)),
  ]
}

function permissionOptions(permissions: Permissions, files: readonly string[]): readonly string[] {
  const { read = [], write = [], childProcesses, addons, net } = permissions
  const folders = new Set(files.flatMap((url) => foldersOf(fileURLToPath(url))))
  return [
    '--permission',
    // For the thread that notices when the worker is gone.
    '--allow-worker',
    ...[...folders].map((folder) => `--allow-fs-read=${folder}/*`),
    ...read.map((path) => `--allow-fs-read=${path}`),
    ...write.map((path) => `--allow-fs-write=${path}`),
    ...(childProcesses === true ? ['--allow-child-process'] : []),
    ...(addons === true ? ['--allow-addons'] : []),
    ...(net === true && process.allowedNodeEnvironmentFlags.has('--allow-net')
      ? ['--allow-net']
      : []),
  ]
}

/** The folder of a file, and the packages that modules of it may import. */
function foldersOf(file: string): readonly string[] {
  const folders = [dirname(file)]
  for (let at = dirname(file); dirname(at) !== at; at = dirname(at)) {
    const packages = join(at, 'node_modules')
    if (existsSync(packages)) folders.push(packages)
  }
  return folders
}

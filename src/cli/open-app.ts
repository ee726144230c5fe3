/** Makes the app that a command works on, from the configuration, the store that was named, or both. */
import { ErrandError } from '../core/errors.ts'
import { createErrand, type Errand } from '../errand.ts'
import type { Globals } from './globals.ts'
import { configNames, findConfig, loadConfig } from './load-config.ts'
import { openStore } from './open-store.ts'

/** Opens the app. A store that was named replaces that of the configuration. Rejects with `invalid-config` and `invalid-option`. */
export async function openApp(globals: Globals): Promise<Errand> {
  const path = findConfig(globals.config)
  if (path !== null) {
    const errand = await loadConfig(path)
    return globals.store === undefined ? errand : errand.withStore(await openStore(globals.store))
  }
  if (globals.store === undefined)
    throw nothingFound('Run errand init, or name a store: --store sqlite:errand.db.')
  return createErrand({ store: await openStore(globals.store), queues: { '*': {} } })
}

/** Opens the app for a command that runs tasks, which only a configuration has. */
export async function openConfiguredApp(globals: Globals): Promise<Errand> {
  if (findConfig(globals.config) === null)
    throw nothingFound('Tasks are listed in it: run errand init, or pass --config <file>.')
  return openApp(globals)
}

function nothingFound(hint: string): ErrandError {
  return new ErrandError(
    'invalid-config',
    `No configuration (${configNames[0]}, .mts, .js or .mjs) in ${process.cwd()}. ${hint}`,
  )
}

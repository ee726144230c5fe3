/** The log of a command that goes on until it is stopped. */
import { ownProcess, shownPlace } from '../loops/own-process.ts'
import type { Errand } from '../errand.ts'
import { hasOwnLog } from '../observe/own-log.ts'
import type { Globals } from './globals.ts'

/** Logs to stdout, as the options say it; a log of the configuration's own speaks for itself. */
export async function startLog(errand: Errand, options: Globals): Promise<void> {
  if (hasOwnLog(errand)) return
  const [{ logEvents }, { makeLogger }] = await Promise.all([
    import('../observe/log.ts'),
    import('./logger.ts'),
  ])
  const place = ownProcess()
  const name = place === null ? null : `errand worker ${shownPlace(place)}`
  logEvents(errand, await makeLogger(options.logLevel ?? 'info', logFormat(options), name))
}

/** As the options say it, else pretty on a terminal. */
export function logFormat(options: Globals): 'pretty' | 'json' {
  return options.logFormat ?? (process.stdout.isTTY && !options.json ? 'pretty' : 'json')
}

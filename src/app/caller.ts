/** Finds who called. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the first file on the stack that is none of `own` (URLs); the working directory when there is none. */
export function callerFolder(own: readonly string[]): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1)
  for (const line of lines) {
    const place = line.match(/((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/])[^()]*?):\d+:\d+\)?$/)?.[1]
    if (place === undefined || place.startsWith('node:')) continue
    const url = place.startsWith('file:') ? place : null
    if (url === import.meta.url || (url !== null && own.includes(url))) continue
    return dirname(url === null ? place : fileURLToPath(url))
  }
  return process.cwd()
}

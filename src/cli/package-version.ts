/** The version of this package. */
import { readFileSync } from 'node:fs'

/** Reads the version from `package.json`, two folders up in the sources and in `dist` alike. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

/** Opens a SQLite store for the renewer's thread, which it ends the first two times. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Store } from '../../src/store.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

export function connect(argument: unknown): Store {
  const { file, tries } = argument as { readonly file: string; readonly tries: string }
  const count = Number(readFileSync(tries, 'utf8'))
  writeFileSync(tries, String(count + 1))
  if (count < 2) process.exit(1)
  return sqlite(file)
}

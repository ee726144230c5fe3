/** The fragments that almost every script is made of, in the order of their needs. */
import { endingsLua } from './needs.ts'
import { linesLua } from './lines.ts'
import { outputsLua } from './outputs.ts'
import { outboxLua } from './partitions/outbox.ts'
import { rowsLua } from './rows.ts'
import { statesLua } from './states.ts'
import { uniquesLua } from './uniques.ts'

export const jobsLua: readonly string[] = [
  statesLua,
  rowsLua,
  uniquesLua,
  linesLua,
  outboxLua,
  outputsLua,
  endingsLua,
]

/** Holds the write lock of a file from the start on. */
import { DatabaseSync } from 'node:sqlite'

const { file } = JSON.parse(process.argv[2] ?? '{}') as { file: string }
const database = new DatabaseSync(file, { timeout: 30_000 })
database.exec('BEGIN IMMEDIATE')
process.send?.('up')
setInterval(() => undefined, 1_000)

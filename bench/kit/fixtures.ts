/** Files with many jobs in them: built once in a process of their own, then copied for each measurement. */
import {
  copyFileSync,
  existsSync,
  fdatasyncSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Setting } from '../workload.ts'
import { fileOf } from './app.ts'
import { Peer } from './peer.ts'

export interface Contents {
  readonly waiting?: number
  readonly scheduled?: number
  readonly finished?: number
}

/** Puts a file with these jobs where the setting's store lies. */
export async function prepare(setting: Setting, contents: Contents): Promise<void> {
  const name = Object.entries(contents)
    .map(([state, count]) => `${count}-${state}`)
    .join('-')
  const kept = join(setting.fixtures, `${name}.db`)
  if (!existsSync(kept)) await build(setting, contents, kept)
  copyFileSync(kept, fileOf(setting))
  sync(fileOf(setting))
}

async function build({ fixtures }: Setting, contents: Contents, kept: string): Promise<void> {
  const folder = join(fixtures, `building-${process.pid}`)
  mkdirSync(folder)
  const builder = new Peer(new URL('../peers/builder.ts', import.meta.url), { folder, contents })
  await builder.ended()
  renameSync(fileOf({ folder, durability: 'process' }), kept)
  rmSync(folder, { recursive: true })
}

/** Lets no write of the copy fall into the measurement. */
function sync(file: string): void {
  const handle = openSync(file, 'r+')
  fdatasyncSync(handle)
  closeSync(handle)
}

/** What the figures were measured on. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { median, percentile, shown } from './numbers.ts'
import { ticks } from './ticks.ts'

/** Lines of `what: value`. */
export function describeMachine(folder: string): readonly string[] {
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string }
  return [
    `errand ${version}, Node ${process.versions.node}, SQLite ${String(process.versions['sqlite'])}`,
    `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}`,
    `8 KiB write and fdatasync: ${syncCost(folder)}`,
  ]
}

function syncCost(folder: string): string {
  const file = join(folder, 'sync')
  const handle = openSync(file, 'w')
  const block = Buffer.alloc(8_192, 1)
  const ms: number[] = []
  for (let i = 0; i < 300; i++) {
    const since = ticks()
    writeSync(handle, block, 0, block.length, (i % 32) * block.length)
    fdatasyncSync(handle)
    ms.push(ticks() - since)
  }
  closeSync(handle)
  rmSync(file)
  return `p50 ${shown(median(ms))} ms, p99 ${shown(percentile(ms, 0.99))} ms`
}

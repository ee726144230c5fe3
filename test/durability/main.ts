/** Counts how often the disk was asked to sync for each acknowledged batch: `node test/durability/main.ts`. Needs `strace`. */
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Not a dependency, and not on every machine. */
const tracer = 'strace'

let isWell = true
for (const durability of ['process', 'power'] as const) {
  const { syncs, batches } = count(durability)
  process.stdout.write(
    `${durability}: ${batches} acknowledged batches, ${syncs} fdatasync or fsync\n`,
  )
  if (durability === 'power' && syncs < batches) isWell = false
}
process.exitCode = isWell ? 0 : 1

function count(durability: string): { syncs: number; batches: number } {
  execFileSync(tracer, ['-V'])
  const work = fileURLToPath(new URL('./work.ts', import.meta.url))
  const traced = ['-f', '-qq', '-e', 'trace=fdatasync,fsync', process.execPath]
  const { stdout, stderr } = spawnSync(
    tracer,
    [...traced, '--conditions=errand-source', work, durability],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  const syncs = stderr.split('\n').filter((line) => /\b(fdatasync|fsync)\(/.test(line)).length
  return { syncs, batches: Number(stdout) }
}

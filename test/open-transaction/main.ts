/**
 * Whether a store stays quick while somebody else's transaction is held open, so that the server can clear away no dead row:
 * `npm run open-transaction -- [--seconds 60]`, for each kind of transaction.
 *
 * Exits with 0 when it keeps half of its rate, 1 when not.
 */
import { parseArgs } from 'node:util'
import { canStartPostgres, startPostgres } from '../postgres-server.ts'
import { holds, load, type Done, type Window } from './load.ts'

/** The share of its rate that each window must keep. */
const leastShare = 0.5
const windows = 12

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } })
if (!canStartPostgres()) throw new Error('there is no PostgreSQL on this machine')
/** Half of the time goes to the store without a transaction. */
const windowMs = (2 * Number(values.seconds) * 1_000) / windows
let isWell = true
for (const hold of holds) {
  const held = await startPostgres({ fsync: 'on' })
  const free = await startPostgres({ fsync: 'on' })
  try {
    const urls = { held: held.url, free: free.url }
    const measured = await load(urls, hold, { windows, windowMs })
    const least = Math.min(...measured.map(shareOf))
    process.stdout.write(`${hold}\n${rows(measured)}\nkeeps ${percent(least)} at least\n\n`)
    if (least < leastShare) isWell = false
  } finally {
    await held.stop()
    await free.stop()
  }
}
process.exitCode = isWell ? 0 : 1

/** The rate beside a transaction as a share of that without one at the same time. */
function shareOf({ held, free }: Window): number {
  return rateOf(held) / rateOf(free)
}

/** Jobs added, claimed and settled in a second. */
function rateOf({ drained, tookMs }: Done): number {
  return (drained / tookMs) * 1_000
}

function rows(measured: readonly Window[]): string {
  const head = ['s', 'jobs drained/s', 'without it', 'share', 'dead rows', 'without it']
  const cells = measured.map((window) => [
    (window.endMs / 1_000).toFixed(0),
    rateOf(window.held).toFixed(0),
    rateOf(window.free).toFixed(0),
    percent(shareOf(window)),
    window.held.dead.toLocaleString('en-US'),
    window.free.dead.toLocaleString('en-US'),
  ])
  return [head, ...cells]
    .map((row) => row.map((cell, at) => cell.padStart((head[at] ?? '').length)).join('  '))
    .join('\n')
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}

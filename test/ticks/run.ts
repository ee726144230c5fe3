/** Processes that fire the same schedules while they are killed, and the ledger at the end. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { openStore } from '../../src/cli/open-store.ts'
import { listRecords } from '../../src/flows/schedules/records.ts'
import type { Store } from '../../src/store/store.ts'
import { checkTicks, isBehind, type Ledger } from './ledger.ts'

export interface Plan {
  readonly url: string
  readonly processes: number
  readonly schedules: number
  readonly durationMs: number
  /** A process is killed this often. */
  readonly killEveryMs: number
  /** Gives the same numbers again, from 0 up to 1. */
  readonly random: () => number
}

export interface Outcome extends Ledger {
  readonly kills: number
}

/** How long all that is due may take to end, once nothing is killed any more. */
const calmMs = 60_000

export async function fireUnderKills(plan: Plan): Promise<Outcome> {
  const { url, processes, schedules, durationMs, killEveryMs, random } = plan
  const children: ChildProcess[] = []
  const start = async (): Promise<void> => {
    const child = fork(join(import.meta.dirname, 'worker.ts'), [url, String(schedules)], {
      execArgv: ['--conditions=errand-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    children.push(child)
    await Promise.race([once(child, 'message'), once(child, 'exit')])
  }
  const store = await openStore(url)
  const end = (): void => {
    for (const child of children) child.kill('SIGKILL')
  }
  process.once('exit', end)
  try {
    await start()
    const begun = Date.now()
    await Promise.all(Array.from({ length: processes - 1 }, start))
    let kills = 0
    for (const until = Date.now() + durationMs; Date.now() < until; kills += 1) {
      await sleep(killEveryMs * (0.5 + random()))
      const [victim] = children.splice(Math.floor(random() * children.length), 1)
      victim?.kill('SIGKILL')
      // For a moment there is one less; now and then there is nobody at all.
      if (random() < 0.1) end()
      const missing = children.filter(isAlive).length
      await Promise.all(Array.from({ length: processes - missing }, start))
    }
    await calm(store)
    end()
    return { ...(await checkTicks(store, begun)), kills }
  } finally {
    end()
    process.removeListener('exit', end)
    await store.close()
  }
}

function isAlive({ exitCode, signalCode, killed }: ChildProcess): boolean {
  return exitCode === null && signalCode === null && !killed
}

/** Waits until what was missed is made up, pauses all schedules, and waits until nothing is left to do. */
async function calm(store: Store): Promise<void> {
  const until = Date.now() + calmMs
  for (let isLate = true; isLate && Date.now() < until;) {
    await sleep(100)
    const records = await listRecords(store)
    isLate = records.some(({ stored }) => stored !== null && isBehind(stored, Date.now()))
  }
  const { createErrand } = await import('../../src/errand.ts')
  const errand = createErrand({ store })
  for (const { name } of await listRecords(store)) await errand.schedules.pause(name, 'the end')
  for (;;) {
    const left = (await store.counts()).filter(({ state }) => state !== 'completed')
    if (left.length === 0 || Date.now() > until) return
    await sleep(100)
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

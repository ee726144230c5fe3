/**
 * Parents call children while their workers are killed, then what there is of both is counted:
 * every parent completed, and each of its calls one job, whatever runs it took.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task, type AnyTask, type Errand } from '../../src/index.ts'
import type { CallName } from '../../src/store/calls.ts'
import { leaseMs, openStore, type Family, type Fate, type Line, type Part } from './part.ts'

export interface Plan {
  /** The store's URL; `sqlite:` for a file of the proof's own. */
  readonly store: string
  readonly parents: number
  readonly children: number
  readonly slots: number
  readonly losses: number
  /** How many processes are killed at each place. */
  readonly kills: number
  /** The calls around which processes are killed. */
  readonly calls: readonly CallName[]
}

export interface Result {
  readonly kills: number
  readonly parents: number
  readonly calls: number
  /** Runs of called jobs: more than calls where one was killed as it ran. */
  readonly runs: number
  readonly ms: number
  readonly wrong: readonly string[]
}

/** The calls of a worker on the way of a call. */
export const placesOfCalls: readonly CallName[] = [
  'recorded',
  'note',
  'record',
  'get',
  'settle',
  'claim',
]

/** Longer than all of it should take. */
const patienceMs = 600_000
/** A process that was not killed by then had too little to do. */
const fateMs = 20_000
const parent: AnyTask = task({ name: 'parent' })

export async function prove(plan: Plan): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-calls-'))
  const ledger = join(folder, 'ledger')
  writeFileSync(ledger, '')
  const store = plan.store === 'sqlite:' ? `sqlite:${join(folder, 'jobs.db')}` : plan.store
  const errand = createErrand({ store: openStore(store), tasks: [parent], lease: leaseMs })
  const started = performance.now()
  const members = new Set<ChildProcess>()
  const start = (fate: Fate | null): ChildProcess => {
    const { slots, losses } = plan
    const part: Part = { store, ledger, slots, losses, fate }
    const member = fork(join(import.meta.dirname, 'worker.ts'), [JSON.stringify(part)], {
      execArgv: ['--conditions=errand-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    members.add(member)
    member.once('exit', () => members.delete(member))
    return member
  }
  const killAll = (): void => members.forEach((member) => member.kill('SIGKILL'))
  process.once('exit', killAll)
  try {
    const jobs = await errand.enqueueMany(
      Array.from({ length: plan.parents }, (_, n) => {
        const family: Family = { n, children: plan.children }
        return [parent, family] as const
      }),
    )
    const ids = jobs.map(({ id }) => id)
    let kills = 0
    const fates = fatesOf(plan)
    const lane = async (): Promise<void> => {
      for (const fate of fates) {
        const member = start(fate)
        const ended = once(member, 'exit')
        await Promise.race([ended, sleep(fateMs, null, { ref: false })])
        if (member.signalCode === 'SIGKILL') kills++
        else member.kill('SIGKILL')
        await ended
      }
    }
    await Promise.all([lane(), lane()])
    const last = [start(null), start(null)]
    await allEnded(errand, ids)
    const wrong = await wrongsOf(errand, ids, plan, ledger)
    for (const member of last) {
      const ended = once(member, 'exit')
      member.send('stop')
      await ended
    }
    const lines = readLedger(ledger)
    const calls = new Set(lines.map(({ parent: of, child }) => `${of}/${child}`)).size
    const ms = performance.now() - started
    return { kills, parents: ids.length, calls, runs: lines.length, ms, wrong }
  } finally {
    killAll()
    process.removeListener('exit', killAll)
    await errand.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** All places, `kills` times, each a little later than the one before. */
function* fatesOf({ calls, kills }: Plan): Generator<Fate> {
  for (let round = 0; round < kills; round++) {
    for (const [n, call] of calls.entries()) {
      for (const when of ['before', 'after'] as const) {
        yield { call, when, on: call === 'note' ? 1 : 1 + ((n + round * 3) % 5) }
      }
    }
  }
}

async function allEnded(errand: Errand, ids: readonly string[]): Promise<void> {
  const until = performance.now() + patienceMs
  for (;;) {
    const jobs = await errand.store.get(ids)
    const open = jobs.filter((job) => job === null || job.finishedAt === null)
    if (open.length === 0) return
    if (performance.now() > until)
      throw new Error(`${open.length} parents have not ended: ${open[0]?.id} is ${open[0]?.state}`)
    await sleep(50)
  }
}

async function wrongsOf(
  errand: Errand,
  ids: readonly string[],
  { children }: Plan,
  ledger: string,
): Promise<readonly string[]> {
  const wrong: string[] = []
  const lines = Map.groupBy(readLedger(ledger), ({ parent: of }) => of)
  for (const id of ids) {
    const record = await errand.jobs.get(id)
    const expected = (children * (children - 1)) / 2
    if (record?.state !== 'completed' || record.output !== expected)
      wrong.push(`${id} is ${record?.state} with ${JSON.stringify(record?.output)}`)
    const made = (await errand.jobs.list({ parent: id, limit: 1_000 })).jobs
    if (made.length !== children) wrong.push(`${id} has made ${made.length} jobs`)
    const ran = Map.groupBy(lines.get(id) ?? [], ({ child }) => child)
    for (let child = 0; child < children; child++) {
      const own = new Set(ran.get(child)?.map((line) => line.id))
      if (own.size !== 1) wrong.push(`call ${child} of ${id} ran as ${own.size} jobs`)
    }
  }
  return wrong
}

function readLedger(ledger: string): readonly Line[] {
  const texts = readFileSync(ledger, 'utf8').split('\n')
  return texts.filter((text) => text !== '').map((text) => JSON.parse(text) as Line)
}

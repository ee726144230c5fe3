/** Trials: processes are cut off at one place, the jobs are finished by others, and the rows are counted. */
import { createErrand, task, type Errand } from '../../src/index.ts'
import { tables, type Effect } from './effects.ts'
import type { Ground } from './ground.ts'
import { leaseMs, taskName, type Place, type Report } from './part.ts'
import { comes, Member } from './processes.ts'
import { openStore } from './store.ts'

/** What a trial came to. `wrong` names jobs that do not have one row in each table, written by the attempt that completed them. */
export interface Result {
  readonly what: string
  readonly cuts: number
  readonly jobs: number
  readonly rows: number
  readonly refusals: number
  readonly wrong: readonly string[]
}

export interface TrialOptions {
  readonly ground: Ground
  readonly cuts: number
  /** Handlers that a process runs at once: a connection of SQLite has one transaction. */
  readonly slots: number
  /** Processes at once. */
  readonly processes: number
}

const effect = task({ name: taskName })
/** Jobs that are added for each process, more than it can finish before it is killed. */
const jobsPerProcess = 6

/** Kills so many processes at a place. */
export async function killed(place: Place, options: TrialOptions): Promise<Result> {
  const { ground, cuts, slots } = options
  await using trial = new Trial(ground)
  let left = cuts
  const lane = async (): Promise<void> => {
    while (left > 0) {
      const on = (left-- % 3) + 1
      await trial.add(jobsPerProcess)
      const member = trial.start(slots, { place, how: 'kill', on })
      const how = await member.end()
      if (how !== 'SIGKILL') throw new Error(`a process that was to be killed ended by ${how}`)
    }
  }
  await Promise.all(Array.from({ length: options.processes }, lane))
  return await trial.finish(`killed ${place}`, options)
}

/** What happens while a process stands still. */
export type Meanwhile =
  /** Its lease runs out and another process completes the job. */
  | 'taken'
  /** Its transaction has completed the job and holds it, so that nobody takes it. */
  | 'held'
  /** The server ends its session, and another process completes the job. */
  | 'session ended'

/** Stops processes at a place until their leases are long over, and lets them go on. */
export async function stopped(
  place: Place,
  meanwhile: Meanwhile,
  options: TrialOptions,
): Promise<Result> {
  const { ground, cuts } = options
  await using trial = new Trial(ground)
  for (let left = cuts; left > 0;) {
    const count = Math.min(left, ground.server === null ? 1 : options.processes)
    left -= count
    await trial.add(count)
    const stopping = await Promise.all(
      Array.from({ length: count }, async () => {
        const member = trial.start(1, { place, how: 'stop', on: 1 })
        const { id } = await member.told(`a handler ${place}`, isAt)
        await standStill(member, ground)
        return { member, id }
      }),
    )
    const other = trial.start(1, null)
    await other.told('a worker to start', isUp)
    await Promise.all(
      stopping.map(async ({ member, id }) => {
        if (meanwhile === 'session ended') await ground.server?.endSessions(member.pid)
        await comes(`${id}: ${meanwhile}`, async () =>
          meanwhile === 'held'
            ? (await ground.server?.isLongOver(id)) === true
            : (await trial.get([id]))[0]?.state === 'completed',
        )
        member.signal('SIGCONT')
        member.order('go')
        await member.told(
          `the end of ${id}`,
          (report): report is Report => isOver(report) && report.id === id,
        )
      }),
    )
    await Promise.all([other, ...stopping.map(({ member }) => member)].map((one) => one.stop()))
  }
  return await trial.finish(`stopped ${place}, ${meanwhile}`, { ...options, slots: 1 })
}

/** Stops a process, but not in the middle of a write of its own, such as of its heartbeat. */
async function standStill(member: Member, ground: Ground): Promise<void> {
  for (;;) {
    member.signal('SIGSTOP')
    if (ground.isFree()) return
    member.signal('SIGCONT')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

class Trial {
  readonly #ground: Ground
  readonly #errand: Errand
  readonly #ids: string[] = []
  readonly #members: Member[] = []

  constructor(ground: Ground) {
    this.#ground = ground
    this.#errand = createErrand({ store: openStore(ground.url), tasks: [effect], lease: leaseMs })
  }

  start(slots: number, fate: ConstructorParameters<typeof Member>[0]['fate']): Member {
    const member = new Member({ store: this.#ground.url, slots, fate })
    this.#members.push(member)
    return member
  }

  async add(count: number): Promise<void> {
    const jobs = await this.#errand.enqueueMany(
      Array.from({ length: count }, () => [effect, undefined] as const),
    )
    this.#ids.push(...jobs.map(({ id }) => id))
  }

  get(ids: readonly string[]): ReturnType<Errand['store']['get']> {
    return this.#errand.store.get(ids)
  }

  /** Ends what a trial that failed has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members) member.signal('SIGKILL')
    await this.#errand.close()
  }

  /** Lets others finish what is left, and counts. */
  async finish(what: string, { cuts, slots, processes }: TrialOptions): Promise<Result> {
    const last = Array.from({ length: processes }, () => this.start(slots, null))
    const ids = this.#ids
    await comes(`the end of ${ids.length} jobs`, async () =>
      (await this.get(ids)).every((job) => job?.state === 'completed'),
    )
    await Promise.all(last.map((member) => member.told('a worker to start', isUp)))
    await Promise.all(last.map((member) => member.stop()))
    const jobs = await this.get(ids)
    const effects = await this.#ground.effects()
    const wrong: string[] = []
    let rows = 0
    for (const table of tables) {
      const byId = Map.groupBy(effects.get(table) ?? [], ({ id }: Effect) => id)
      for (const [place, id] of ids.entries()) {
        const written = byId.get(id) ?? []
        rows += written.length
        const [only] = written
        if (written.length === 1 && only?.token === jobs[place]?.token) continue
        wrong.push(`${id} has ${written.length} rows in ${table}`)
      }
    }
    const refusals = this.#members.reduce((sum, member) => sum + member.refusals, 0)
    return { what, cuts, jobs: ids.length, rows: rows / tables.length, refusals, wrong }
  }
}

const isUp = (report: Report): report is Extract<Report, { kind: 'up' }> => report.kind === 'up'
const isAt = (report: Report): report is Extract<Report, { kind: 'at' }> => report.kind === 'at'
const isOver = (report: Report): report is Extract<Report, { kind: 'over' }> =>
  report.kind === 'over'

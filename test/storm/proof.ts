/**
 * A redelivery storm: messages become jobs while consumers are killed, each after a second, and the broker has its own
 * misfortunes. Afterwards each message is exactly one job.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, type Errand } from '../../src/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import type { StormBroker } from './broker.ts'
import type { Consumer, Progress } from './consumer.ts'
import { storm } from './task.ts'

export interface Plan {
  readonly messages: number
  /** How long a consumer lives once it works, in ms. */
  readonly lifeMs: number
  /** Over how long the messages are sent, in ms. */
  readonly spreadMs?: number
  /** Longer than all of it should take, in ms. Default 120,000. */
  readonly patienceMs?: number
}

export interface Result {
  readonly kills: number
  /** Deliveries of messages that had become jobs before, as far as their consumers came to tell. */
  readonly known: number
  readonly ms: number
  readonly wrong: readonly string[]
}

/** A consumer lives until it has stored one of so many, so that on a busy machine the storm ends, too. */
const leastPart = 20
/** But not for longer. */
const mostLifeMs = 30_000
const batch = 500
/** As many die at least, however quickly each of them empties the queue: the last messages wait for it. */
const leastKills = 2
const againMs = 200
const lookMs = 10

export async function prove(
  broker: StormBroker,
  { messages, lifeMs, spreadMs = 0, patienceMs = 120_000 }: Plan,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-storm-'))
  const file = join(folder, 'jobs.db')
  const errand = createErrand({ store: sqlite(file), tasks: [storm] })
  const told = { file, module: broker.module, argument: broker.argument }
  const crew = new Crew(told, lifeMs, messages / leastPart)
  const began = performance.now()
  try {
    await errand.store.setup()
    const sending = new Sending(broker, messages, spreadMs, crew)
    const strikes = [...broker.misfortunes]
    for (;;) {
      const isSent = sending.count === messages
      while (strikes[0] !== undefined && sending.count >= strikes[0].at * messages)
        await strikes.shift()?.strike()
      const left = await broker.left()
      if (isSent && left === 0) break
      if (performance.now() - began > patienceMs) {
        const ms = performance.now() - began
        const wrong = [`${sending.count} of ${messages} messages were sent, and ${left} are left`]
        return { ...crew.tally, ms, wrong }
      }
      await crew.live(broker)
    }
    const ms = performance.now() - began
    await crew.end()
    return { ...crew.tally, ms, wrong: await judge(errand, messages) }
  } finally {
    await crew.end()
    await errand.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Sends the messages while consumers die; what a broker that is away may not have taken is sent again under the same ids. */
class Sending {
  count = 0

  constructor(broker: StormBroker, messages: number, spreadMs: number, crew: Crew) {
    void this.#run(broker, messages, (spreadMs * batch) / messages, crew)
  }

  async #run(broker: StormBroker, messages: number, pauseMs: number, crew: Crew): Promise<void> {
    while (this.count < messages) {
      const to = Math.min(messages, this.count + batch)
      if (crew.tally.kills < Math.floor((leastKills * to) / messages)) {
        await sleep(againMs)
        continue
      }
      const isTaken = await broker.send(bodies(this.count, to), this.count).then(
        () => true,
        () => false,
      )
      if (isTaken) this.count = to
      await sleep(isTaken ? pauseMs : againMs)
    }
  }
}

function bodies(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from }, (_, n) =>
    JSON.stringify({ name: storm.name, input: { n: from + n } }),
  )
}

/** Two consumers at a time: one that works is killed when it has had its time, and another one takes its place. */
class Crew {
  readonly #told: Consumer
  readonly #lifeMs: number
  readonly #least: number
  readonly #members = new Set<ChildProcess>()
  readonly #progress = new WeakMap<ChildProcess, Progress>()
  readonly #kill = (): void => this.#members.forEach((member) => member.kill('SIGKILL'))
  #kills = 0
  #known = 0

  constructor(told: Consumer, lifeMs: number, least: number) {
    this.#told = told
    this.#lifeMs = lifeMs
    this.#least = least
    process.once('exit', this.#kill)
  }

  get tally(): { readonly kills: number; readonly known: number } {
    return { kills: this.#kills, known: this.#known }
  }

  /** Kills one that works, in its time; returns soon when none does. */
  async live(broker: StormBroker): Promise<void> {
    while (this.#members.size < 2) this.#start()
    const member = [...this.#members].find((one) => this.#worked(one) > 0)
    if (member === undefined) return sleep(againMs)
    await sleep(this.#lifeMs)
    await this.#midWork(member, broker)
    if (!this.#members.has(member)) return
    const ended = once(member, 'exit')
    member.kill('SIGKILL')
    this.#kills++
    await ended
  }

  /**
   * Resolves when it has done its part and just did more, so that it dies in the middle of its work; at the latest when
   * nothing is left, or its life is over.
   */
  async #midWork(member: ChildProcess, broker: StormBroker): Promise<void> {
    const endsAt = performance.now() + mostLifeMs
    const from = this.#worked(member)
    while (performance.now() < endsAt) {
      for (let looks = 0; looks < 25; looks++) {
        const worked = this.#worked(member)
        if (worked >= this.#least && worked > from) return
        await sleep(lookMs)
      }
      // Dear, with many messages.
      if ((await broker.left()) === 0) return
    }
  }

  async end(): Promise<void> {
    process.removeListener('exit', this.#kill)
    const ended = [...this.#members].map((member) => once(member, 'exit'))
    this.#kill()
    await Promise.all(ended)
  }

  /** How many messages became jobs by it, or were known already. */
  #worked(member: ChildProcess): number {
    const { stored, known } = this.#progress.get(member) ?? { stored: 0, known: 0 }
    return stored + known
  }

  #start(): void {
    const member = fork(join(import.meta.dirname, 'consumer.ts'), [JSON.stringify(this.#told)], {
      execArgv: ['--conditions=errand-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    let known = 0
    member.on('message', (progress: Progress) => {
      this.#progress.set(member, progress)
      this.#known += progress.known - known
      known = progress.known
    })
    this.#members.add(member)
    member.once('exit', () => this.#members.delete(member))
  }
}

/** Counts the jobs of each message. */
async function judge(errand: Errand, messages: number): Promise<readonly string[]> {
  const jobs = new Map<number, number>()
  const wrong: string[] = []
  let after: string | null = null
  do {
    const page = await errand.jobs.list({ limit: 1_000, ...(after === null ? {} : { after }) })
    for (const { id, state, input } of page.jobs) {
      if (state !== 'ready') wrong.push(`job ${id} is ${state}`)
      const { n } = input as { n: number }
      jobs.set(n, (jobs.get(n) ?? 0) + 1)
    }
    after = page.next
  } while (after !== null)
  for (let n = 0; n < messages; n++) {
    const count = jobs.get(n) ?? 0
    if (count !== 1) wrong.push(`message ${n} became ${count} jobs`)
  }
  if (jobs.size > messages) wrong.push(`${jobs.size} messages for ${messages}`)
  return wrong.slice(0, 20)
}

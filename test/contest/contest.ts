/** One contest: five processes that want one lock, what befalls them, and the register that they write to. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { between, draw, weighted, type Random } from '../chaos/random.ts'
import type { Contending } from './contender.ts'
import type { Absence, FailOver } from './judge.ts'
import type { Write } from './register.ts'
import type { LockName, LockPlace, Way } from './servers.ts'

const crew = 5
/**
 * How many stand still beside whatever befalls the holder, and how long somebody is absent, in times of the lock's ttl: always past it. Of a
 * lock that lasts long there would be few absences in the time of a contest.
 */
const absences = {
  short: { idle: 2, from: 1.1, to: 1.5 },
  long: { idle: 3, from: 1.02, to: 1.15 },
} as const
const longTtlMs = 10_000
const writersEach = 6
/** So long after it began or woke somebody has found out how things are, and waits for the lock. */
const readyMs = 4_000
const pollMs = 25
const pauseMs = { from: 50, to: 400 } as const
/** Between two misfortunes of the servers. */
const calmMs = { from: 10_000, to: 30_000 } as const

const misfortunes = [
  { kind: 'stopped', share: 60 },
  { kind: 'dark', share: 15 },
  { kind: 'killed', share: 15 },
  { kind: 'retired', share: 10 },
] as const

interface Contender {
  readonly name: string
  readonly way: Way
  child: ChildProcess
  isAbsent: boolean
  awakeSince: number
}

export interface Contested {
  readonly writes: readonly Write[]
  readonly absences: readonly Absence[]
  readonly failOvers: readonly FailOver[]
}

export class Contest {
  readonly #lock: LockName
  readonly #place: LockPlace
  readonly #random: Random
  readonly #contenders: Contender[] = []
  readonly #writes: Write[] = []
  readonly #absences: Absence[] = []
  readonly #failOvers: FailOver[] = []
  #register: ChildProcess | null = null
  #port = 0
  #started = 0
  /** The lock passes on after an end: who takes it now is not to be stopped before it is seen, since that takes a ttl more. */
  #isPassing = false

  constructor(lock: LockName, place: LockPlace, random: Random) {
    this.#lock = lock
    this.#place = place
    this.#random = random
  }

  async run(ms: number): Promise<Contested> {
    process.once('exit', () => this.#abandon())
    this.#register = fork(join(import.meta.dirname, 'register.ts'))
    ;[this.#port] = (await once(this.#register, 'message')) as [number]
    for (let i = 0; i < crew; i++) {
      const way = await this.#place.way()
      const name = `contender-${++this.#started}`
      this.#contenders.push({ name, way, child: this.#spawn(name, way), ...awakeNow() })
    }
    const polling = setInterval(() => void this.#poll(), pollMs)
    try {
      await this.#written(() => true)
      const late = performance.now() + ms
      const idlers = Array.from({ length: this.#absent.idle }, () => this.#stopIdlers(late))
      const shaking = this.#shake(late)
      // On a slow machine it goes on until the lock has passed on.
      const latest = late + this.#patienceMs
      while (performance.now() < (this.#failOvers.length > 0 ? late : latest)) {
        await this.#strikeHolder()
        await sleep(between(this.#random, pauseMs.from, pauseMs.to))
      }
      await Promise.all([...idlers, shaking])
    } finally {
      clearInterval(polling)
      await this.#poll().catch(() => {})
      this.#abandon()
    }
    return { writes: this.#writes, absences: this.#absences, failOvers: this.#failOvers }
  }

  /** Lets something befall the holder, and waits for the next one. */
  async #strikeHolder(): Promise<void> {
    const last = this.#writes.findLast(({ accepted }) => accepted)
    const holder = this.#contenders.find(({ name }) => name === last?.contender)
    if (last === undefined || holder === undefined || holder.isAbsent) {
      if (last !== undefined && Date.now() - last.at > this.#patienceMs) throw this.#stuck()
      return sleep(pollMs)
    }
    const offered = misfortunes.filter(({ kind }) => kind !== 'dark' || holder.way.proxy !== null)
    const { kind } = weighted(this.#random, offered)
    this.#isPassing = kind === 'killed' || kind === 'retired'
    // Where locks last long there are too few ends to leave it to chance whether one is awaited.
    if (this.#isPassing && this.#place.ttlMs > longTtlMs) await this.#rival(holder)
    const from = Date.now()
    const isAwaited = this.#isAwaited(holder)
    const absence = this.#befall(holder, kind)
    // Who comes back before anybody took the lock may go on under the same token.
    let backAt = Infinity
    const back = absence.then(() => (backAt = Date.now()))
    await this.#written(({ at, token }) => token > last.token || at > backAt)
    this.#isPassing = false
    const next = this.#writes.find(({ accepted, token }) => accepted && token > last.token)
    if (next !== undefined) this.#failOvers.push({ after: kind, ms: next.at - from, isAwaited })
    await back
  }

  /** Waits until somebody waits for the lock beside its holder; while it passes on nobody is stopped, so that it does not take long. */
  async #rival(holder: Contender): Promise<void> {
    const late = performance.now() + this.#patienceMs
    while (!this.#isAwaited(holder) && performance.now() < late) await sleep(pollMs)
  }

  #isAwaited(holder: Contender): boolean {
    const now = Date.now()
    return this.#contenders.some(
      (one) => one !== holder && !one.isAbsent && now - one.awakeSince > readyMs,
    )
  }

  async #befall(contender: Contender, kind: Absence['kind']): Promise<void> {
    const { name, child, way } = contender
    const absence: Absence = { contender: name, kind, from: Date.now(), to: Infinity }
    this.#absences.push(absence)
    contender.isAbsent = true
    const absentMs = this.#place.ttlMs * between(this.#random, this.#absent.from, this.#absent.to)
    switch (kind) {
      case 'stopped':
        child.kill('SIGSTOP')
        await sleep(absentMs)
        child.kill('SIGCONT')
        break
      case 'dark':
        way.proxy?.hold()
        await sleep(absentMs)
        way.proxy?.release()
        if (this.#random() < 0.5) way.proxy?.cut()
        break
      case 'killed':
        child.kill('SIGKILL')
        await this.#replace(contender)
        break
      case 'retired':
        child.kill('SIGTERM')
        await this.#replace(contender)
        break
    }
    absence.to = Date.now()
    Object.assign(contender, awakeNow())
  }

  async #replace(contender: Contender): Promise<void> {
    if (contender.child.exitCode === null && contender.child.signalCode === null)
      await once(contender.child, 'exit')
    const name = `contender-${++this.#started}`
    const fresh = { ...contender, name, child: this.#spawn(name, contender.way), ...awakeNow() }
    this.#contenders[this.#contenders.indexOf(contender)] = fresh
  }

  /** Stops whoever does not hold the lock, again and again. */
  async #stopIdlers(late: number): Promise<void> {
    while (performance.now() < late) {
      const holder = this.#writes.findLast(({ accepted }) => accepted)?.contender
      const idle = this.#contenders.filter(({ name, isAbsent }) => !isAbsent && name !== holder)
      // The others are left to take over.
      const mayStop = idle.length > crew - 1 - this.#absent.idle && !this.#isPassing
      const victim = mayStop ? draw(this.#random, idle) : undefined
      if (victim === undefined) await sleep(pollMs)
      else await this.#befall(victim, 'stopped')
    }
  }

  async #shake(late: number): Promise<void> {
    while (this.#place.shake !== null && performance.now() < late) {
      await this.#place.shake(this.#random)
      await sleep(between(this.#random, calmMs.from, calmMs.to))
    }
  }

  /** Waits for a write that was accepted and is the one looked for. */
  async #written(isIt: (write: Write) => boolean): Promise<void> {
    const late = performance.now() + this.#patienceMs
    while (!this.#writes.some((write) => write.accepted && isIt(write))) {
      if (performance.now() > late) throw this.#stuck()
      await sleep(pollMs)
    }
  }

  get #absent(): (typeof absences)[keyof typeof absences] {
    return this.#place.ttlMs > longTtlMs ? absences.long : absences.short
  }

  /** While servers are shaken, each new leader lets the locks of its predecessor last anew. */
  get #patienceMs(): number {
    return this.#place.ttlMs * 2 + (this.#place.shake === null ? 40_000 : 140_000)
  }

  #stuck(): Error {
    const last = this.#writes.findLast(({ accepted }) => accepted)
    const absent = this.#contenders.filter(({ isAbsent }) => isAbsent).map(({ name }) => name)
    return new Error(
      `nobody took the lock within ${this.#patienceMs} ms: the last write was ${JSON.stringify(last)}, absent are ${absent.join(', ') || 'none'}`,
    )
  }

  async #poll(): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/writes`)
    this.#writes.push(...((await answer.json()) as Write[]))
  }

  #spawn(name: string, { url }: Way): ChildProcess {
    const contending: Contending = {
      name,
      url,
      lock: this.#lock,
      ttlMs: this.#place.ttlMs,
      register: this.#port,
      writers: writersEach,
    }
    return fork(join(import.meta.dirname, 'contender.ts'), [JSON.stringify(contending)])
  }

  #abandon(): void {
    for (const { child } of this.#contenders) child.kill('SIGKILL')
    this.#register?.kill('SIGKILL')
  }
}

function awakeNow(): Pick<Contender, 'isAbsent' | 'awakeSince'> {
  return { isAbsent: false, awakeSince: Date.now() }
}

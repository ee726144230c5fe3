/**
 * The processes of a run. Each has a place, with a way to the store of its own; one that ends leaves its place to a new one, as
 * long as the fleet is open. What is done to a process stands in the director's ledger before it is done.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Way } from './ground.ts'
import type { Ledger, Signal } from './ledger.ts'
import type { Part } from './parts.ts'

export type Role = 'producer' | 'worker'

/** What the occupants of a place have in common. */
export interface Place {
  readonly role: Role
  readonly way: Way
}

/** A running process of the fleet. */
export interface Member {
  readonly place: Place
  readonly name: string
  readonly child: ChildProcess
  /** `starting` until it says that it works, `absent` while it stands still or hears nothing, `going` once it was killed or asked to stop. */
  state: 'starting' | 'up' | 'absent' | 'going'
  /** How it is absent. */
  absence: 'stopped' | 'dark' | 'silent' | null
}

export class Fleet {
  readonly #ledger: Ledger
  readonly #part: Omit<Part, 'name' | 'store'>
  readonly #members = new Set<Member>()
  #started = 0
  #open = true

  constructor(ledger: Ledger, part: Omit<Part, 'name' | 'store'>) {
    this.#ledger = ledger
    this.#part = part
  }

  members(role: Role, state?: Member['state']): readonly Member[] {
    return [...this.#members].filter(
      (one) => one.place.role === role && (state === undefined || one.state === state),
    )
  }

  isTaken(place: Place): boolean {
    return [...this.#members].some((one) => one.place === place)
  }

  start(place: Place): void {
    const name = `${place.role}-${++this.#started}`
    const seed = `${this.#part.seed}/${name}`
    const part: Part = { ...this.#part, name, seed, store: place.way.url }
    const output = openSync(join(part.folder, `${name}.log`), 'a')
    const child = fork(join(import.meta.dirname, `${place.role}.ts`), [JSON.stringify(part)], {
      stdio: ['ignore', output, output, 'ipc'],
    })
    closeSync(output)
    const member: Member = { place, name, child, state: 'starting', absence: null }
    this.#members.add(member)
    child.once('message', () => {
      if (member.state !== 'starting') return
      member.state = 'up'
      this.#write(member, 'up')
    })
    child.once('exit', (code, signal) => this.#ended(member, code, signal))
  }

  /** The process whose way reaches the server from a port; null when it is not known. */
  nameBehind(port: number): string | null {
    const members = [...this.#members]
    const found = members.find(({ place }) => place.way.proxy?.upstreamPorts.includes(port))
    return found?.name ?? null
  }

  kill(member: Member): void {
    member.state = 'going'
    this.#write(member, 'SIGKILL')
    member.child.kill('SIGKILL')
  }

  /** Stops a process until `resume`. */
  stop(member: Member): void {
    this.#leave(member, 'stopped')
    this.#write(member, 'SIGSTOP')
    member.child.kill('SIGSTOP')
  }

  /** Lets a stopped process go on, if it was not killed meanwhile. */
  resume(member: Member): void {
    if (member.state !== 'absent' || member.absence !== 'stopped') return
    this.#write(member, 'SIGCONT')
    member.child.kill('SIGCONT')
    this.#come(member)
  }

  /** Holds back whatever goes between a process and the store, until `lighten`. */
  darken(member: Member): void {
    this.#leave(member, 'dark')
    this.#write(member, 'dark')
    member.place.way.proxy?.hold()
  }

  /** Ends a darkness: the connections go on with what was held back, or are cut. */
  lighten(member: Member, how: 'go-on' | 'cut'): void {
    if (member.state !== 'absent' || member.absence !== 'dark') return
    const { proxy } = member.place.way
    if (how === 'cut') proxy?.cut()
    proxy?.release()
    this.#write(member, 'light')
    this.#come(member)
  }

  /** Lets everything that goes between a process and the store be lost, without a word, until `carry`. */
  silence(member: Member): void {
    this.#leave(member, 'silent')
    this.#write(member, 'silent')
    member.place.way.proxy?.fallSilent()
  }

  /** Ends a silence for new connections; those that fell silent stay so. */
  carry(member: Member): void {
    if (member.state !== 'absent' || member.absence !== 'silent') return
    member.place.way.proxy?.recover()
    this.#write(member, 'heard')
    this.#come(member)
  }

  /** Asks a process to end by itself. */
  retire(member: Member): void {
    this.#comeBack(member)
    if (member.state === 'going') return
    member.state = 'going'
    this.#write(member, 'stop')
    if (member.child.connected) member.child.send('stop')
  }

  /** Replaces nobody any more. */
  close(): void {
    this.#open = false
  }

  /** Asks all processes of a role to end; those that have not ended in time are reported, and killed. */
  async end(role: Role, withinMs: number): Promise<void> {
    const late = AbortSignal.timeout(withinMs)
    const members = this.members(role)
    for (const member of members) this.retire(member)
    await Promise.allSettled(members.map((member) => exited(member.child, late)))
    for (const { name, child } of this.members(role)) {
      this.#ledger.write({
        kind: 'died',
        process: name,
        how: 'too late: it had to be killed',
      })
      child.kill('SIGKILL')
    }
  }

  /** Kills whoever is left. */
  abandon(): void {
    this.#open = false
    for (const member of this.#members) {
      member.state = 'going'
      member.child.kill('SIGKILL')
    }
  }

  #leave(member: Member, absence: 'stopped' | 'dark' | 'silent'): void {
    member.state = 'absent'
    member.absence = absence
  }

  #come(member: Member): void {
    member.state = 'up'
    member.absence = null
  }

  #comeBack(member: Member): void {
    switch (member.absence) {
      case 'stopped':
        return this.resume(member)
      case 'dark':
        return this.lighten(member, 'go-on')
      case 'silent':
        return this.carry(member)
      case null:
        return
    }
  }

  #write(member: Member, signal: Signal): void {
    this.#ledger.write({ kind: 'signal', process: member.name, signal })
  }

  #ended(member: Member, code: number | null, signal: NodeJS.Signals | null): void {
    this.#members.delete(member)
    const isExpected = member.state === 'going' && (code === 0 || signal === 'SIGKILL')
    if (!isExpected) {
      const how = code === null ? `by ${signal}` : `with exit code ${code}`
      this.#ledger.write({ kind: 'died', process: member.name, how })
    }
    // The next one finds a way that carries.
    if (member.absence === 'dark') member.place.way.proxy?.release()
    if (member.absence === 'silent') member.place.way.proxy?.recover()
    if (this.#open) this.start(member.place)
  }
}

async function exited(child: ChildProcess, signal: AbortSignal): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit', { signal })
}

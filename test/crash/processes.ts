/**
 * The processes of a run. Each role has a fixed number of places; a process that ends leaves its place to a new one, as long
 * as the fleet is open. Every signal that is sent stands in the director's ledger before it is sent.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Ledger } from './ledger.ts'
import type { Part } from './parts.ts'

export type Role = 'producer' | 'worker'

/** A running process of the fleet. */
export interface Member {
  readonly role: Role
  readonly name: string
  readonly child: ChildProcess
  /** `starting` until it says that it works, `going` once it was killed or asked to stop. */
  state: 'starting' | 'up' | 'stopped' | 'going'
}

export class Fleet {
  readonly #ledger: Ledger
  readonly #part: Omit<Part, 'name'>
  readonly #members = new Set<Member>()
  #started = 0
  #open = true

  constructor(ledger: Ledger, part: Omit<Part, 'name'>) {
    this.#ledger = ledger
    this.#part = part
  }

  members(role: Role, state?: Member['state']): readonly Member[] {
    return [...this.#members].filter(
      (one) => one.role === role && (state === undefined || one.state === state),
    )
  }

  start(role: Role): void {
    const name = `${role}-${++this.#started}`
    const part: Part = { ...this.#part, name, seed: `${this.#part.seed}/${name}` }
    const output = openSync(join(part.folder, `${name}.log`), 'a')
    const child = fork(join(import.meta.dirname, `${role}.ts`), [JSON.stringify(part)], {
      stdio: ['ignore', output, output, 'ipc'],
    })
    closeSync(output)
    const member: Member = { role, name, child, state: 'starting' }
    this.#members.add(member)
    child.once('message', () => {
      if (member.state === 'starting') member.state = 'up'
    })
    child.once('exit', (code, signal) => this.#ended(member, code, signal))
  }

  kill(member: Member): void {
    member.state = 'going'
    this.#signal(member, 'SIGKILL')
  }

  /** Stops a process until `resume`. */
  stop(member: Member): void {
    member.state = 'stopped'
    this.#signal(member, 'SIGSTOP')
  }

  /** Lets a stopped process go on, if it was not killed meanwhile. */
  resume(member: Member): void {
    if (member.state !== 'stopped') return
    this.#signal(member, 'SIGCONT')
    member.state = 'up'
  }

  /** Asks a process to end by itself. */
  retire(member: Member): void {
    if (member.state === 'stopped') this.resume(member)
    if (member.state === 'going') return
    member.state = 'going'
    this.#ledger.write({ kind: 'signal', process: member.name, signal: 'stop' })
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

  #signal(member: Member, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#ledger.write({ kind: 'signal', process: member.name, signal })
    member.child.kill(signal)
  }

  #ended(member: Member, code: number | null, signal: NodeJS.Signals | null): void {
    this.#members.delete(member)
    const isExpected = member.state === 'going' && (code === 0 || signal === 'SIGKILL')
    if (!isExpected) {
      const how = code === null ? `by ${signal}` : `with exit code ${code}`
      this.#ledger.write({ kind: 'died', process: member.name, how })
    }
    if (this.#open) this.start(member.role)
  }
}

async function exited(child: ChildProcess, signal: AbortSignal): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit', { signal })
}

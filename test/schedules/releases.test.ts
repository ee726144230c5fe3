/**
 * Two releases of one app, whose schedules differ, start, overlap, stop and die in every order. No
 * tick is lost, doubled or comes back from a schedule that nobody declares any more.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTick } from '../../src/app/new-job.ts'
import { schedule, type Schedule } from '../../src/flows/schedules/schedule.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { ScheduleProcess, ticked } from '../../src/testing/conformance/schedule-process.ts'
import { VirtualClock, virtualStart } from '../../src/testing/virtual-clock.ts'
import { randomOf, whole, type Random } from '../chaos/random.ts'

const minute = 60_000
const stepMs = 15_000
/** A worker that died is taken for living so long, and what nobody declares stays for as long again, looked at each 15 s. */
const deadMs = 60_000
const goneMs = deadMs + 60_000 + 2 * stepMs

type Release = 'old' | 'new'

const declared: Readonly<Record<Release, readonly Schedule[]>> = {
  old: [each('same', 1), each('both', 1), each('only-old', 1)],
  new: [each('same', 1), each('both', 2), each('only-new', 1)],
}

function each(name: string, n: number): Schedule {
  return schedule({ name, task: ticked, input: { n }, every: '1m', missed: 'all', window: '1d' })
}

interface Running {
  readonly release: Release
  readonly process: ScheduleProcess
}

for (let seed = 1; seed <= 40; seed += 1)
  test(`releases, seed ${seed}`, async () => {
    const trial = new Trial(randomOf(String(seed)))
    for (let event = 0; event < 12; event += 1) await trial.event()
    await trial.end()
  })

class Trial {
  readonly #random: Random
  /** A tick is a few seconds old when it is looked for. */
  readonly #clock = new VirtualClock(virtualStart + 5_000)
  readonly #database = new MemoryDatabase()
  readonly #store: Store
  readonly #running = new Set<Running>()
  /** When a process of a release was last there, dead ones for as long as they are taken for living. */
  readonly #seenAt = new Map<Release, number>()
  readonly #firstAt = new Map<string, number>()
  readonly #told: string[] = []
  #started = 0

  constructor(random: Random) {
    this.#random = random
    this.#store = this.#open()
  }

  /** A process starts, stops or dies, and then some time passes. */
  async event(): Promise<void> {
    const [victim] = [...this.#running].slice(whole(this.#random, 0, this.#running.size))
    if (victim === undefined || this.#random() < 0.5) await this.#start()
    else {
      this.#running.delete(victim)
      const dies = this.#random() < 0.5
      this.#told.push(`${victim.release} ${dies ? 'dies' : 'stops'}`)
      if (!dies) await victim.process.beat(true)
      this.#saw(victim.release, this.#clock.now() + (dies ? deadMs : 0))
    }
    const steps = whole(this.#random, 1, 24)
    for (let step = 0; step < steps; step += 1) await this.#step()
  }

  /** Each planned time of a schedule that was declared all along has one job. */
  async end(): Promise<void> {
    if (this.#running.size === 0) await this.#start()
    for (let step = 0; step < 8; step += 1) await this.#step()
    const { jobs } = await this.#store.list({ limit: 1_000 })
    const found = new Map<string, number[]>()
    for (const { options } of jobs) {
      const { schedule: name, plannedAt } = readTick(options)!
      found.set(
        name,
        [...(found.get(name) ?? []), plannedAt].toSorted((a, b) => a - b),
      )
    }
    for (const name of ['same', 'both']) {
      const [first = 0, ...rest] = found.get(name) ?? []
      const expected = Math.floor((this.#clock.now() - first) / minute)
      const times = Array.from({ length: expected }, (_, n) => first + (n + 1) * minute)
      assert.deepEqual(rest, times, `${name}: ${this.#told.join(', ')}`)
      assert.ok(first - (this.#firstAt.get(name) ?? 0) <= minute, `${name} began late`)
    }
    for (const name of ['only-old', 'only-new']) {
      const times = found.get(name) ?? []
      assert.equal(new Set(times).size, times.length, `${name} doubled: ${this.#told.join(', ')}`)
    }
  }

  async #start(): Promise<void> {
    const release = this.#random() < 0.5 ? 'old' : 'new'
    const id = `${release}-${(this.#started += 1)}`
    const process = new ScheduleProcess(this.#open(), declared[release], id)
    await process.start()
    this.#told.push(`${release} starts`)
    this.#running.add({ release, process })
    this.#saw(release, this.#clock.now())
    for (const { name } of declared[release])
      if (!this.#firstAt.has(name)) this.#firstAt.set(name, this.#clock.now())
  }

  /** A quarter of a minute, in which every process beats, fires and minds, in any order. */
  async #step(): Promise<void> {
    await this.#clock.advance(stepMs)
    const before = await this.#countOf()
    const order = [...this.#running].toSorted(() => this.#random() - 0.5)
    for (const { process } of order) await process.beat()
    for (const { process } of order) {
      await process.fire()
      await process.mind()
    }
    for (const { release } of order) this.#saw(release, this.#clock.now())
    await this.#checkUndeclared(before)
    await this.#checkDeclared(before)
    if (order.length > 0) await this.#checkDefinition()
  }

  /** What no living worker declares fires nothing, and is gone in the end. */
  async #checkUndeclared(before: ReadonlyMap<string, number>): Promise<void> {
    const now = this.#clock.now()
    const after = await this.#countOf()
    const names = new Set((await this.#names()).values())
    for (const release of ['old', 'new'] as const) {
      const name = `only-${release}`
      const sinceMs = now - (this.#seenAt.get(release) ?? -Infinity)
      if (sinceMs <= 0) continue
      const words = `${name}, undeclared for ${sinceMs} ms: ${this.#told.join(', ')}`
      assert.equal(after.get(name) ?? 0, before.get(name) ?? 0, words)
      if (sinceMs > goneMs && this.#aloneForMs(release) > goneMs) assert.ok(!names.has(name), words)
    }
  }

  /** What a running process declares fires its tick, once, as soon as that is due. */
  async #checkDeclared(before: ReadonlyMap<string, number>): Promise<void> {
    if (this.#clock.now() % minute >= stepMs) return
    const after = await this.#countOf()
    for (const { release } of this.#running) {
      const name = `only-${release}`
      const fired = (after.get(name) ?? 0) - (before.get(name) ?? 0)
      assert.ok(fired >= 1, `${name} fired ${fired} times: ${this.#told.join(', ')}`)
    }
  }

  /** Once one release runs alone, its definition holds. */
  async #checkDefinition(): Promise<void> {
    const releases = new Set([...this.#running].map(({ release }) => release))
    const [release] = releases
    if (release === undefined || releases.size > 1) return
    const other = release === 'old' ? 'new' : 'old'
    if (this.#clock.now() - (this.#seenAt.get(other) ?? -Infinity) <= 2 * stepMs) return
    const [text] = await this.#store.getRecords(['schedule:both'])
    const { enqueues } = JSON.parse(text ?? '{}') as {
      readonly enqueues: { readonly job: { readonly input: string } }
    }
    assert.equal(
      enqueues.job.input,
      JSON.stringify({ n: release === 'old' ? 1 : 2 }),
      this.#told.join(', '),
    )
  }

  #aloneSince: number | null = null

  /** How long some process of the other release has run without a break. */
  #aloneForMs(release: Release): number {
    const isThere = [...this.#running].some((one) => one.release !== release)
    this.#aloneSince = isThere ? (this.#aloneSince ?? this.#clock.now()) : null
    return this.#aloneSince === null ? 0 : this.#clock.now() - this.#aloneSince
  }

  async #countOf(): Promise<ReadonlyMap<string, number>> {
    const { jobs } = await this.#store.list({ limit: 1_000 })
    const names = jobs.map(({ options }) => readTick(options)?.schedule ?? '')
    return new Map([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]))
  }

  async #names(): Promise<readonly string[]> {
    const query = { prefix: 'schedule:', after: null, limit: 100 }
    return (await this.#store.listRecords(query)).map(({ key }) => key.slice('schedule:'.length))
  }

  #saw(release: Release, at: number): void {
    this.#seenAt.set(release, Math.max(at, this.#seenAt.get(release) ?? at))
  }

  #open(): Store {
    return memory({ clock: this.#clock, database: this.#database })
  }
}

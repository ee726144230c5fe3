/**
 * What every lock server does, as rules for any test runner: see `Locks`. Locks expire by the server's own time, so rules about that wait until
 * the server lets somebody else in, and look at how long that took.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HoldAnswer, Holding, HoldRequest, Locks } from '../../store/locks.ts'
import type { Rule } from './harness.ts'

/** Makes clients of one lock server. */
export interface LockHarness {
  /** A new client, as another process would have. */
  open(): Promise<Locks>
  /** How much later than `ttlMs` the server may free a lock whose holder is silent. Default 5,000. */
  readonly lateMs?: number
  /** How often a race is run. Default 50. */
  readonly rounds?: number
}

const defaults = { lateMs: 5_000, rounds: 50 } as const
const contenders = 4
const pollMs = 50
/** Clocks of two machines, and the time that a call takes, in comparisons of times. */
const slackMs = 100
/** More than a client has connections to spare. */
const watchedNames = 12
/** A busy machine extends a lock of this length in its time. */
const extendedMs = 3_000
/** Locks of this length end by no time of their own here. */
const longMs = 60_000
/** By now each watch has told what it found, and waits. */
const watchBeginsMs = 500
/** Two calls take no longer, on a busy machine. */
const callWithinMs = 8_000
/** A release is told to watchers within this. */
const hintWithinMs = 5_000

/** Clients of one rule, and a name that nobody else uses. */
class Contest {
  readonly name = `contest-${randomUUID()}`
  readonly #harness: LockHarness
  readonly #opened: Locks[] = []

  constructor(harness: LockHarness) {
    this.#harness = harness
  }

  get lateMs(): number {
    return this.#harness.lateMs ?? defaults.lateMs
  }

  get rounds(): number {
    return this.#harness.rounds ?? defaults.rounds
  }

  /** Its lock ends by its own time only where a rule says so. */
  async rival(change: Partial<HoldRequest> = {}): Promise<Rival> {
    const locks = await this.#harness.open()
    this.#opened.push(locks)
    return new Rival(locks, {
      name: this.name,
      holder: randomUUID(),
      token: null,
      ttlMs: longMs,
      host: 'host-of-a-rival',
      pid: 42,
      ...change,
    })
  }

  async end(): Promise<void> {
    for (const locks of this.#opened) await locks.close()
  }
}

/** One who wants the lock. */
class Rival {
  readonly locks: Locks
  readonly request: HoldRequest

  constructor(locks: Locks, request: HoldRequest) {
    this.locks = locks
    this.request = request
  }

  /** Takes the lock, which must be free. */
  async take(): Promise<Holding> {
    const answer = await this.try()
    assert.equal(answer.status, 'held')
    return this.holding(answer)
  }

  try(): Promise<HoldAnswer> {
    return this.locks.hold(this.request)
  }

  async extend({ token }: Holding): Promise<HoldAnswer['status']> {
    return (await this.locks.hold({ ...this.request, token })).status
  }

  /** Tries until the lock is free; answers how long that took. */
  async waitFor(withinMs: number): Promise<{ readonly holding: Holding; readonly tookMs: number }> {
    const from = performance.now()
    for (;;) {
      const answer = await this.try()
      const tookMs = performance.now() - from
      if (answer.status === 'held') return { holding: this.holding(answer), tookMs }
      assert.ok(tookMs < withinMs, `the lock is not free after ${Math.round(tookMs)} ms`)
      await sleep(pollMs)
    }
  }

  holding(answer: HoldAnswer): Holding {
    assert.equal(answer.status, 'held')
    const { name, holder } = this.request
    return { name, holder, token: answer.token }
  }
}

/** Every rule of lock servers. */
export const lockRules: readonly Rule<LockHarness>[] = rulesOf({
  'a free lock is held by who asks first, and refused to others with its owner': async (
    contest,
  ) => {
    const [a, b] = [await contest.rival(), await contest.rival({ host: 'another' })]
    assert.equal(await a.locks.lockOwner(contest.name), null)
    const from = Date.now()
    await a.take()
    const answer = await b.try()
    assert.equal(answer.status, 'taken')
    for (const owner of [answer.owner, await b.locks.lockOwner(contest.name)]) {
      assert.deepEqual([owner?.host, owner?.pid], ['host-of-a-rival', 42])
      const since = owner?.since ?? 0
      // Records tell seconds.
      assert.ok(since >= from - 1_000 - slackMs && since <= Date.now() + slackMs, `since ${since}`)
    }
  },

  'a take that is repeated, as after a lost answer, gives the same token': async (contest) => {
    const a = await contest.rival()
    const first = await a.take()
    assert.deepEqual(await a.take(), first)
    assert.equal(await a.extend(first), 'held')
  },

  'an extension keeps the lock beyond its time, and without one it passes on with a greater token':
    async (contest) => {
      const b = await contest.rival()
      const ttlMs = Math.max(b.locks.leastTtlMs, extendedMs)
      const a = await contest.rival({ ttlMs })
      const held = await a.take()
      let from = 0
      for (let i = 0; i < 4; i++) {
        await sleep(ttlMs / 3)
        from = performance.now()
        assert.equal(await a.extend(held), 'held')
        assert.equal((await b.try()).status, 'taken')
      }
      const { holding } = await b.waitFor(ttlMs + contest.lateMs)
      const passedMs = performance.now() - from
      assert.ok(passedMs > ttlMs - slackMs, `free after ${Math.round(passedMs)} ms of ${ttlMs}`)
      assert.ok(holding.token > held.token)
      assert.equal(await a.extend(held), 'taken')
      assert.equal(await a.locks.release(held), 'stale')
      assert.equal(await b.extend(holding), 'held')
    },

  'nobody else gets the lock while its holder may believe in it': async (contest) => {
    const b = await contest.rival()
    const ttlMs = b.locks.leastTtlMs
    const a = await contest.rival({ ttlMs })
    const from = performance.now()
    const answer = await a.try()
    assert.equal(answer.status, 'held')
    assert.ok(answer.validMs > 0 && answer.validMs <= ttlMs + 1_000)
    await b.waitFor(ttlMs + contest.lateMs)
    const passedMs = performance.now() - from
    assert.ok(passedMs >= answer.validMs, `passed on after ${passedMs} of ${answer.validMs} ms`)
  },

  'a release frees the lock at once, and its token is not given again': async (contest) => {
    const [a, b] = [await contest.rival(), await contest.rival()]
    const held = await a.take()
    assert.equal(await a.locks.release(held), 'released')
    assert.equal(await a.locks.lockOwner(contest.name), null)
    const next = await b.take()
    assert.ok(next.token > held.token)
    assert.equal(await b.locks.release(next), 'released')
    assert.ok((await a.take()).token > next.token)
  },

  'a stale release changes nothing, not even the record of the owner': async (contest) => {
    const [a, b] = [await contest.rival(), await contest.rival({ host: 'another' })]
    const held = await a.take()
    assert.equal(await a.locks.release(held), 'released')
    const next = await b.take()
    assert.equal(await a.locks.release(held), 'stale')
    assert.equal(await a.locks.release({ ...next, holder: held.holder }), 'stale')
    assert.equal(await b.locks.release({ ...next, token: next.token + 1 }), 'stale')
    assert.equal((await a.locks.lockOwner(contest.name))?.host, 'another')
    assert.equal(await b.extend(next), 'held')
  },

  'an extension names its holding: after a release it is refused and takes nothing': async (
    contest,
  ) => {
    const a = await contest.rival()
    const held = await a.take()
    await a.locks.release(held)
    assert.equal(await a.extend(held), 'taken')
    assert.equal(await a.locks.lockOwner(contest.name), null)
    const next = await a.take()
    assert.equal(await a.extend(held), 'taken')
    assert.equal(await a.locks.release(held), 'stale')
    assert.equal(await a.extend(next), 'held')
  },

  'locks of other names are others': async (contest) => {
    const a = await contest.rival()
    const b = await contest.rival({ name: `${contest.name}-b` })
    const held = await a.take()
    const other = await b.take()
    assert.equal(await a.locks.release(held), 'released')
    assert.equal(await b.extend(other), 'held')
  },

  'a name may hold any characters': async (contest) => {
    const name = `${contest.name}/ä ?%{}#é'";--`
    const [a, b] = [await contest.rival({ name }), await contest.rival({ name })]
    const held = await a.take()
    assert.equal((await b.try()).status, 'taken')
    assert.equal(await a.locks.release(held), 'released')
  },

  'a watcher hears of a release': async (contest) => {
    const [a, b] = [await contest.rival(), await contest.rival()]
    const held = await a.take()
    let hear: (() => void) | null = null
    const unwatch = b.locks.watch(contest.name, () => hear?.())
    try {
      // A watch may tell at its start what it finds.
      await sleep(slackMs)
      const heard = new Promise<void>((resolve) => (hear = resolve))
      assert.equal(await a.locks.release(held), 'released')
      const late = sleep(hintWithinMs, 'late', { ref: false })
      assert.equal(await Promise.race([heard, late]), undefined)
    } finally {
      unwatch()
    }
  },

  'a client that watches many names keeps no call waiting, and each watcher hears of its release':
    async (contest) => {
      const [a, b] = [await contest.rival(), await contest.rival()]
      const names = Array.from({ length: watchedNames }, (_, i) => `${contest.name}-${i}`)
      const requests = names.map((name) => ({ ...a.request, name }))
      const holdings: Holding[] = []
      for (const request of requests) {
        const answer = await a.locks.hold(request)
        assert.equal(answer.status, 'held')
        holdings.push({ name: request.name, holder: request.holder, token: answer.token })
      }
      const hear = new Map<string, () => void>()
      const unwatch = names.map((name) => b.locks.watch(name, () => hear.get(name)?.()))
      try {
        await sleep(watchBeginsMs)
        const from = performance.now()
        assert.notEqual(await b.locks.lockOwner(names[0] ?? ''), null)
        assert.equal((await b.try()).status, 'held')
        const tookMs = performance.now() - from
        assert.ok(tookMs < callWithinMs, `calls took ${Math.round(tookMs)} ms beside the watches`)
        // Calls as well go on beside each other, and watches beside both.
        const heard = names.map((name) => new Promise<void>((on) => hear.set(name, on)))
        await Promise.all(holdings.map((holding) => a.locks.release(holding)))
        const late = sleep(hintWithinMs, 'late', { ref: false })
        assert.notEqual(await Promise.race([Promise.all(heard), late]), 'late')
      } finally {
        for (const end of unwatch) end()
      }
    },

  'of several who ask at once exactly one gets the lock, round after round': async (contest) => {
    const rivals = await Promise.all(Array.from({ length: contenders }, () => contest.rival()))
    let last = 0
    for (let round = 0; round < contest.rounds; round++) {
      const answers = await Promise.all(rivals.map((rival) => rival.try()))
      const winners = answers.flatMap((answer, i) => {
        const rival = rivals[i]
        return answer.status === 'held' && rival !== undefined ? [{ rival, answer }] : []
      })
      // Where a lost race leaves something to clear away, a round may have no winner; it never has two.
      assert.ok(winners.length <= 1, `${winners.length} winners in round ${round}`)
      for (const { rival, answer } of winners) {
        const holding = rival.holding(answer)
        assert.ok(holding.token > last)
        last = holding.token
        assert.equal(await rival.locks.release(holding), 'released')
      }
    }
    assert.ok(last > 0)
  },

  'a closed client refuses further calls and leaves its lock alone': async (contest) => {
    const [a, b] = [await contest.rival(), await contest.rival()]
    await a.take()
    await a.locks.close()
    await assert.rejects(a.try(), { code: 'closed' })
    assert.equal((await b.try()).status, 'taken')
  },
})

function rulesOf(
  sentences: Readonly<Record<string, (contest: Contest) => Promise<void>>>,
): readonly Rule<LockHarness>[] {
  return Object.entries(sentences).map(([name, play]) => ({
    group: 'locks',
    name,
    async run(harness: LockHarness): Promise<void> {
      const contest = new Contest(harness)
      try {
        await play(contest)
      } finally {
        await contest.end()
      }
    },
  }))
}

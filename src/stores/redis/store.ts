/** The Redis store: hands each call of the contract to its function, wherever the jobs lie. */
import type { Connector, Store } from '../../store/store.ts'
import type { Tended } from '../../store/worker-calls.ts'
import type { WorkerRecord } from '../../store/registry.ts'
import { queuesOf } from '../queues.ts'
import {
  checkHold,
  checkJobs,
  checkLease,
  checkNotes,
  checkSettlements,
  withLease,
} from '../bounds.ts'
import { systemClock } from '../system-clock.ts'
import { Connection, type Target } from './connection.ts'
import { pausedOf, registerTasks, setPaused, taskList, tend, workerList } from './coordination.ts'
import { closedError, isLost, unknownOutcome, withoutArguments } from './errors.ts'
import { ErrandError } from '../../core/errors.ts'
import { Hints, lockBit, pausedBit, recordBit, relayBits, workBit } from './hints.ts'
import { readDurability, readWarnings, unknownDurability } from './durability.ts'
import { checkLayout } from './layout.ts'
import { note, renew } from './leases.ts'
import { getRecord, hold, lockOwner, putRecord, release } from './locks.ts'
import { cancel, remove, retry, take } from './operators.ts'
import { Partition, type Answered } from './partitions/partition.ts'
import { logs } from './readers.ts'
import { relay } from './partitions/relay.ts'
import { claimSpread, rescueSpread, least, Turns } from './partitions/claim.ts'
import { insertSpread, settleSpread } from './partitions/insert.ts'
import { eachWhereItLies, pruneSpread } from './partitions/operate.ts'
import { countsSpread, getSpread, listSpread } from './partitions/read.ts'
import { Spread } from './partitions/place.ts'

export interface RedisStoreOptions {
  readonly target: Target
  /** For people, without credentials. */
  readonly location: string
  readonly prefix: string
  readonly partitions: number
  readonly testClock: boolean
}

export function redisStore(options: RedisStoreOptions, connector: Connector | null): Store {
  const { target, location, prefix, partitions, testClock } = options
  const connection = new Connection(target, location)
  const spread = new Spread(
    Array.from(
      { length: partitions },
      (_, index) => new Partition(connection, { index, prefix, partitions, testClock }),
    ),
  )
  const channel = `{${prefix}}:hints`
  const self = Math.random().toString(36).slice(2)
  const hints = new Hints((bits) => `${self} ${bits}`, {
    channel,
    publish: (message) => connection.publish(channel, message),
  })
  const turns = new Turns()
  let durability = unknownDurability
  let settingUp: Promise<void> | null = null
  let isSetUp = false
  let wasSetUp = false

  const listen = (): void => {
    const heard = (message: string): void => {
      const [sender, bits] = message.split(' ')
      if (sender !== self) hints.heard(Number(bits))
    }
    void connection.listen({ channel, heard, connected: () => hints.heardAll() })
  }

  const setUp = async (): Promise<void> => {
    try {
      // The partitions of one server do not move: when it is empty, it has lost its data, and there is nothing to protect.
      await checkLayout(spread.all, location, !wasSetUp || !connection.isCluster)
      durability = await readDurability(connection)
      isSetUp = true
      wasSetUp = true
    } finally {
      settingUp = null
    }
  }

  /** Runs a call, after the set-up if that is still to be done, and explains its errors. */
  const run = async <T>(call: () => Promise<T>): Promise<T> => {
    if (connection.isClosed) throw closedError(location)
    try {
      if (!isSetUp) await (settingUp ??= setUp())
      return await call()
    } catch (error) {
      if (isLost(error)) isSetUp = false
      throw connection.explain(error)
    }
  }

  /** Tells what happened, after messages between partitions have been carried. */
  const tell = async <T>({ hinted, told, answer }: Answered<T>): Promise<T> => {
    const bits = (hinted & relayBits) === 0 ? hinted : await relay(spread, hinted)
    hints.give(bits, told)
    return answer
  }

  const without = (tx: unknown): void => {
    if (tx !== undefined)
      throw new ErrandError('tx-unsupported', 'Redis has no transactions that a job could join.')
  }

  return {
    get info() {
      return { kind: 'redis', location, durability }
    },
    clock: systemClock,
    connector,
    setup: () => run(async () => undefined),
    warnings: () => run(() => readWarnings(connection)),
    close: async () => {
      hints.clear()
      connection.close()
    },

    insert: async (jobs, tx) => {
      without(tx)
      checkJobs(jobs, systemClock.now())
      return run(async () => {
        const mark = connection.mark
        try {
          return await tell(await insertSpread(spread, jobs, hints))
        } catch (error) {
          if (!connection.isClosed && connection.mayHaveArrived(error, mark))
            throw unknownOutcome(location, withoutArguments(error))
          throw error
        }
      })
    },

    claim: (request) => run(async () => tell(await claimSpread(spread, turns, withLease(request)))),
    settle: async (settlements, tx) => {
      without(tx)
      checkSettlements(settlements, systemClock.now())
      return run(async () => tell(await settleSpread(spread, settlements)))
    },
    renew: async (leases, leaseMs) => {
      checkLease(leaseMs)
      return run(() =>
        spread.share(
          leases,
          ({ token }) => spread.ofToken(token),
          (partition, share) => renew(partition, share, leaseMs),
        ),
      )
    },
    note: async (notes) => {
      checkNotes(notes)
      return run(() => spread.share(notes, ({ token }) => spread.ofToken(token), note))
    },
    rescue: (request) =>
      run(async () => tell(await rescueSpread(spread, turns, withLease(request)))),
    tend: (worker) => run(async () => tell(await tendSpread(spread, worker))),
    watch: (on) => {
      if (connection.isClosed) throw closedError(location)
      const unwatch = hints.add(on)
      listen()
      return () => {
        unwatch()
        if (!hints.isWatched) connection.stopListening()
      }
    },

    get: (ids) => run(() => getSpread(spread, ids)),
    list: (query) => run(() => listSpread(spread, query)),
    counts: () => run(() => countsSpread(spread)),
    logs: (id) =>
      run(async () => {
        const places = spread.isSingle ? null : await spread.locate([id])
        return logs(places?.get(id) ?? spread.ofId(id), id)
      }),

    cancel: (ids, reason) =>
      run(() =>
        eachWhereItLies(spread, ids, async (partition, some) =>
          tell(await cancel(partition, some, reason)),
        ),
      ),
    retry: (ids) =>
      run(() =>
        eachWhereItLies(spread, ids, async (partition, some) => tell(await retry(partition, some))),
      ),
    remove: (ids) =>
      run(() =>
        eachWhereItLies(spread, ids, async (partition, some) =>
          tell(await remove(partition, some)),
        ),
      ),
    take: (ids) => run(() => eachWhereItLies(spread, ids, take)),
    prune: (request) => run(() => pruneSpread(spread, request)),

    pause: (queues) =>
      run(async () => {
        await Promise.all(spread.all.map((partition) => setPaused(partition, queues, true)))
        hints.give(pausedBit)
      }),
    resume: (queues) =>
      run(async () => {
        await Promise.all(spread.all.map((partition) => setPaused(partition, queues, false)))
        hints.give(pausedBit | workBit)
      }),
    queues: async () =>
      queuesOf(await run(() => countsSpread(spread)), await run(() => pausedOf(spread.at(0)))),
    workers: () => run(() => workerList(spread.at(0))),
    registerTasks: (tasks) => run(() => registerTasks(spread.at(0), tasks)),
    tasks: () => run(() => taskList(spread.at(0))),

    hold: async (request) => {
      checkHold(request)
      return run(() => hold(spread.at(0), request))
    },
    release: (holding) =>
      run(async () => {
        const answer = await release(spread.at(0), holding)
        if (answer === 'released') hints.give(lockBit)
        return answer
      }),
    lockOwner: (name) => run(() => lockOwner(spread.at(0), name)),
    putRecord: (key, text) =>
      run(async () => {
        await putRecord(spread.at(0), key, text)
        hints.give(recordBit)
      }),
    getRecord: (key) => run(() => getRecord(spread.at(0), key)),
  }
}

/** Writes the heartbeat into the first partition and asks all of them what there is to do. */
async function tendSpread(spread: Spread, worker: WorkerRecord): Promise<Answered<Tended>> {
  const parts = await Promise.all(
    spread.all.map((partition) => tend(partition, worker, partition.index === 0)),
  )
  const answers = parts.map(({ answer }) => answer)
  const hinted = parts.reduce((sum, part) => sum | part.hinted, 0)
  const todo = answers.some((answer) => answer.todo) ? relayBits : 0
  return {
    hinted: hinted | todo,
    answer: {
      now: Math.max(...answers.map(({ now }) => now)),
      paused: [...new Set(answers.flatMap(({ paused }) => paused))].sort(),
      nextDueMs: answers.map(({ nextDueMs }) => nextDueMs).reduce(least, null),
      ready: answers.some(({ ready }) => ready),
      sweepDue: answers.some(({ sweepDue }) => sweep),
      prune: answers.some(({ prune }) => prune),
    },
  }
}

/** The Redis store: hands each call of the contract to its function, wherever the jobs lie. */
import { usualStepWeight, type Connector, type Store } from '../../store/store.ts'
import { searched } from '../search.ts'
import {
  checkAdvances,
  checkHold,
  checkJobs,
  checkLease,
  checkNotes,
  checkRecords,
  checkSettlements,
  withLease,
} from '../bounds.ts'
import { systemClock } from '../system-clock.ts'
import { Connection, type Target } from './connection.ts'
import { registerTasks, taskList, workerList } from './coordination.ts'
import { closedError, isLost, unknownOutcome, withoutArguments } from './errors.ts'
import { ErrandError } from '../../core/errors.ts'
import { Hints, lockBit, pausedBit, relayBits, workBit } from './hints.ts'
import { readDurability, readWarnings, unknownDurability } from './durability.ts'
import { checkLayout } from './layout.ts'
import { note, renew } from './leases.ts'
import { hold, lockOwner, release } from './locks.ts'
import { cancel, remove, retry, take } from './operators.ts'
import { claimSpread, rescueSpread, Turns } from './partitions/claim.ts'
import {
  countsSpread,
  pauseSpread,
  queuesSpread,
  statsSpread,
  tendSpread,
} from './partitions/coordinate.ts'
import { insertSpread } from './partitions/insert.ts'
import { eachWhereItLies, pruneSpread } from './partitions/operate.ts'
import { Partition, type Answered } from './partitions/partition.ts'
import { Spread } from './partitions/place.ts'
import { recordSpread } from './partitions/journal.ts'
import { getSpread, listSpread, logsSpread, recordedSpread } from './partitions/read.ts'
import { getRecordsSpread, listRecordsSpread, putRecordsSpread } from './partitions/record.ts'
import { relay } from './partitions/relay.ts'
import { settleSpread } from './partitions/settle.ts'

export interface RedisStoreOptions {
  readonly target: Target
  /** For people, without credentials. */
  readonly location: string
  readonly prefix: string
  readonly partitions: number
  readonly testClock: boolean
}

/** How much of a large run one script inserts: the jobs that need one gate are no more than one call releases. */
const stepWeight = 2 * usualStepWeight

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
      // The partitions of one server do not move: when it is empty, it has lost its data, and there
      // is nothing to protect.
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

  /** Gives hints of what happened, after messages between partitions have been carried. */
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
      return { kind: 'redis', location, durability, stepWeight }
    },
    clock: systemClock,
    connector,
    setup: () => run(async () => undefined),
    warnings: () => run(() => readWarnings(connection)),
    close: async () => {
      hints.clear()
      connection.close()
    },

    insert: async (jobs, { tx, advance = [] } = {}) => {
      without(tx)
      checkJobs(jobs, systemClock.now())
      checkAdvances(jobs, advance)
      return run(async () => {
        const mark = connection.mark
        try {
          return await tell(await insertSpread(spread, jobs, advance, hints))
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
    record: async (records) => {
      checkRecords(records, systemClock.now())
      return run(async () => tell(await recordSpread(spread, records)))
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
    list: (query) => run(() => searched(query, (plain) => listSpread(spread, plain))),
    counts: () => run(() => countsSpread(spread)),
    stats: () => run(() => statsSpread(spread)),
    logs: (id) => run(() => logsSpread(spread, id)),
    recorded: (query) => run(() => recordedSpread(spread, query)),

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
        await pauseSpread(spread, queues, true)
        hints.give(pausedBit)
      }),
    resume: (queues) =>
      run(async () => {
        await pauseSpread(spread, queues, false)
        hints.give(pausedBit | workBit)
      }),
    queues: () => run(() => queuesSpread(spread)),
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

    getRecords: (keys) => run(() => getRecordsSpread(spread, keys)),
    listRecords: (query) => run(() => listRecordsSpread(spread, query)),
    putRecords: (writes) => run(async () => tell(await putRecordsSpread(spread, writes))),
  }
}

/** The PostgreSQL store: hands each call of the contract to its function. */
import type { Clock } from '../../core/clock.ts'
import type { Connector, Store } from '../../store/store.ts'
import { queuesOf } from '../queues.ts'
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
import { claim } from './claim.ts'
import {
  pausedQueues,
  registerTasks,
  setPaused,
  taskList,
  tend,
  workerList,
} from './coordination.ts'
import { Database, type DatabaseOptions } from './database.ts'
import { durabilityOf } from './durability.ts'
import { EndWaits } from './end-waits.ts'
import { closedError } from './errors.ts'
import { Hints } from './hints.ts'
import { insert } from './insert.ts'
import { note, renew } from './leases.ts'
import { Listener, type ListenerTimes } from './listener.ts'
import { hold, lockOwner, release } from './locks.ts'
import { cancel, remove, retry } from './operators.ts'
import { counts, get, list, logs, stats } from './readers.ts'
import { getRecords, listRecords, putRecords } from './records.ts'
import { rescue } from './rescue.ts'
import { prune } from './retention.ts'
import { record, recorded } from './run-records.ts'
import { migrate } from './schema.ts'
import { settle } from './settle.ts'
import { Takes } from './takes.ts'
import { callerOf, type Caller } from './transactions.ts'
import { warningsOf } from './warnings.ts'

export interface StoreParts extends DatabaseOptions {
  readonly clock: Clock
  readonly connector: Connector | null
  readonly listenerTimes?: ListenerTimes
}

export function postgresStore(parts: StoreParts): Store {
  const { location, clock, connector, listening } = parts
  const hints = new Hints()
  const db = new Database(parts, hints, migrate)
  const takes = new Takes(db)
  const endWaits = new EndWaits(db)
  const listener = new Listener(db, listening, parts.listenerTimes)
  hints.tell = (hint) => listener.tell(hint)

  return {
    get info() {
      return { kind: 'postgres', location, durability: durabilityOf(db.durability) }
    },
    clock,
    connector,
    setup: () => db.setup(),
    warnings: (how) => warningsOf(db, how === 'try' ? listening : 'not tried'),
    close: async () => {
      hints.clear()
      endWaits.stop()
      listener.stop()
      await db.close()
      if (listening !== null && listening !== parts.source) await listening.close()
    },

    insert: async (jobs, { tx, advance = [] } = {}) => {
      checkJobs(jobs, clock.now())
      checkAdvances(jobs, advance)
      return insert(db, jobs, advance, await within(db, tx))
    },

    claim: async (request) => claim(db, withLease(request)),
    settle: async (settlements, tx) => {
      checkSettlements(settlements, clock.now())
      return settle(db, settlements, await within(db, tx))
    },
    renew: async (leases, leaseMs) => {
      checkLease(leaseMs)
      return renew(db, leases, leaseMs)
    },
    note: async (notes) => {
      checkNotes(notes)
      return note(db, notes)
    },
    record: async (records) => {
      checkRecords(records, clock.now())
      return record(db, records)
    },
    rescue: async (request) => rescue(db, withLease(request)),
    tend: (worker) => tend(db, worker),
    watch: (on, wanted) => {
      if (db.isClosed) throw closedError(location)
      const unwatch = hints.add(on)
      listener.start()
      const waits = listening !== null && (wanted?.includes('finished') ?? true)
      const endWait = waits ? endWaits.begin() : null
      return () => {
        unwatch()
        endWait?.()
        if (!hints.isWatched) listener.leave()
      }
    },

    get: (ids) => get(db, ids),
    list: (query) => searched(query, (plain) => list(db, plain)),
    counts: () => counts(db),
    stats: () => stats(db),
    logs: (id) => logs(db, id),
    recorded: (query) => recorded(db, query),

    cancel: (ids, reason) => cancel(db, ids, reason),
    retry: (ids) => retry(db, ids),
    remove: (ids) => remove(db, ids),
    take: (ids) => takes.take(ids),
    prune: (request) => prune(db, request),

    pause: (queues) => setPaused(db, queues, true),
    resume: (queues) => setPaused(db, queues, false),
    queues: async () => queuesOf(await counts(db), await pausedQueues(db)),
    workers: () => workerList(db),
    registerTasks: (tasks) => registerTasks(db, tasks),
    tasks: () => taskList(db),

    hold: async (request) => {
      checkHold(request)
      return hold(db, request)
    },
    release: (holding) => release(db, holding),
    lockOwner: (name) => lockOwner(db, name),
    getRecords: (keys) => getRecords(db, keys),
    listRecords: (query) => listRecords(db, query),
    putRecords: (writes) => putRecords(db, writes),
  }
}

/** A caller in the user's transaction; null when there is none. The schema is made outside of it. */
async function within(db: Database, tx: unknown): Promise<Caller | null> {
  if (tx === undefined) return null
  const call = callerOf(tx)
  await db.setup()
  return async (sql, values) => {
    try {
      return await call(db.named(sql), values)
    } catch (error) {
      throw db.failure(error)
    }
  }
}

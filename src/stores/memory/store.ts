/** The memory store: hands each call of the contract to its function, with the time. */
import type { Clock } from '../../core/clock.ts'
import { ErrandError } from '../../core/errors.ts'
import { ownerIn } from '../lock-row.ts'
import type { Store } from '../../store/store.ts'
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
import { claim, rescue } from './claim.ts'
import { registerTasks, setPaused, taskList, tend, workerList } from './coordination.ts'
import { insert } from './insert.ts'
import { note, record, renew } from './leases.ts'
import { hold, listRecords, putRecords, release } from './locks.ts'
import { cancel, prune, remove, retry, take } from './operators.ts'
import { counts, get, list, logs, recorded, stats } from './readers.ts'
import { settle } from './settle.ts'
import type { MemoryDatabase } from './state.ts'

/**
 * Makes a client of the data. A call runs to its end before it answers, and functions of JavaScript are not
 * interrupted: that is what makes each call one atomic step. What a call may not be able to read or keep is copied
 * first, so that it fails before it has changed anything.
 */
export function memoryStore(db: MemoryDatabase, clock: Clock): Store {
  let isClosed = false
  const unwatches = new Set<() => void>()

  const open = (): MemoryDatabase => {
    if (isClosed) throw new ErrandError('closed', 'The store is closed.')
    return db
  }
  const openWithout = (tx: unknown): MemoryDatabase => {
    if (tx !== undefined)
      throw new ErrandError('tx-unsupported', 'The memory store has no transactions.')
    return open()
  }

  return {
    info: {
      kind: 'memory',
      location: 'this process',
      durability: 'nothing survives the process',
      serial: true,
    },
    clock,
    connector: null,
    setup: async () => void open(),
    warnings: async () => [],
    close: async () => {
      isClosed = true
      for (const unwatch of unwatches) unwatch()
    },

    insert: async (jobs, { tx, advance = [] } = {}) => {
      checkJobs(jobs, clock.now())
      checkAdvances(jobs, advance)
      return insert(openWithout(tx), structuredClone(jobs), clock.now(), structuredClone(advance))
    },

    claim: async (request) => claim(open(), withLease(request), clock.now()),
    settle: async (settlements, tx) => {
      checkSettlements(settlements, clock.now())
      return settle(openWithout(tx), structuredClone(settlements), clock.now())
    },
    renew: async (leases, leaseMs) => {
      checkLease(leaseMs)
      return renew(open(), leases, leaseMs, clock.now())
    },
    note: async (notes) => {
      checkNotes(notes)
      return note(open(), notes, clock.now())
    },
    record: async (records) => {
      checkRecords(records, clock.now())
      return record(open(), structuredClone(records), clock.now())
    },
    rescue: async (request) => rescue(open(), withLease(request), clock.now()),
    tend: async (worker) => tend(open(), worker, clock.now()),
    watch: (on) => {
      const unwatch = open().hints.add(on)
      unwatches.add(unwatch)
      return () => {
        unwatches.delete(unwatch)
        unwatch()
      }
    },

    get: async (ids) => get(open(), ids),
    list: async (query) => searched(query, (plain) => list(open(), plain)),
    counts: async () => counts(open()),
    stats: async () => stats(open()),
    logs: async (id) => logs(open(), id),
    recorded: async (query) => recorded(open(), query),

    cancel: async (ids, reason) => cancel(open(), ids, reason, clock.now()),
    retry: async (ids) => retry(open(), ids, clock.now()),
    remove: async (ids) => remove(open(), ids, clock.now()),
    take: async (ids) => take(open(), ids, clock.now()),
    prune: async (request) => prune(open(), request, clock.now()),

    pause: async (queues) => setPaused(open(), queues, true),
    resume: async (queues) => setPaused(open(), queues, false),
    queues: async () => queuesOf(counts(open()), [...open().paused]),
    workers: async () => workerList(open()),
    registerTasks: async (tasks) => registerTasks(open(), tasks),
    tasks: async () => taskList(open()),

    hold: async (request) => {
      checkHold(request)
      return hold(open(), request, clock.now())
    },
    release: async (holding) => release(open(), holding),
    lockOwner: async (name) => ownerIn(open().locks.get(name) ?? null, clock.now()),
    getRecords: async (keys) => keys.map((key) => open().records.get(key) ?? null),
    listRecords: async (query) => listRecords(open(), query),
    putRecords: async (writes) => putRecords(open(), structuredClone(writes)),
  }
}

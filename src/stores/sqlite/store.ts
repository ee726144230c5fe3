/** The SQLite store: hands each call of the contract to its function, in a transaction. */
import { ownerIn } from '../lock-row.ts'
import type { Connector, Store } from '../../store/store.ts'
import { queuesOf } from '../queues.ts'
import { searched } from '../search.ts'
import { claim, pausedOf } from './claim.ts'
import { registerTasks, setPaused, taskList, tend, workerList } from './coordination.ts'
import { Database, type DatabaseOptions } from './database.ts'
import { closedError } from './errors.ts'
import { HintBoard } from '../hint-board.ts'
import { insert } from './insert.ts'
import { note, record, renew } from './leases.ts'
import { hold, readLock, release } from './locks.ts'
import { cancel, remove, retry, take } from './operators.ts'
import { counts, get, list, logs, recorded } from './readers.ts'
import { getRecords, listRecords, putRecords } from './records.ts'
import { rescue } from './rescue.ts'
import { prune } from './retention.ts'
import { settle } from './settle.ts'
import { stats } from './stats.ts'
import { FileWatch } from './watch.ts'

const durabilities = {
  process:
    'survives a killed process; a power failure may take the last moments (synchronous = NORMAL)',
  power: 'survives a power failure (synchronous = FULL)',
}

export function sqliteStore(
  file: string,
  options: DatabaseOptions,
  connector: Connector | null,
): Store {
  const hints = new HintBoard()
  const db = new Database(file, options, hints)
  const files = new FileWatch(db, hints)

  return {
    info: {
      kind: 'sqlite',
      location: file,
      durability: durabilities[options.durability],
      serial: true,
    },
    clock: options.clock,
    connector,
    setup: () => db.read(() => undefined),
    warnings: async () => [],
    close: async () => {
      hints.clear()
      files.stop()
      db.close()
    },

    insert: (jobs, { tx, advance } = {}) =>
      tx === undefined
        ? db.write((own) => insert(own, jobs, advance))
        : db.within(tx, (own) => insert(own, jobs, advance)),

    claim: (request) => db.write((tx) => claim(tx, request)),
    settle: (settlements, tx) =>
      tx === undefined
        ? db.write((own) => settle(own, settlements))
        : db.within(tx, (own) => settle(own, settlements)),
    renew: (leases, leaseMs) => db.write((tx) => renew(tx, leases, leaseMs)),
    note: (notes) => db.write((tx) => note(tx, notes)),
    record: (records) => db.write((tx) => record(tx, records)),
    rescue: (request) => db.write((tx) => rescue(tx, request)),
    tend: (worker) => db.write((tx) => tend(tx, worker)),
    watch: (on) => {
      if (db.isClosed) throw closedError(file)
      const unwatch = hints.add(on)
      files.start()
      return () => {
        unwatch()
        if (!hints.isWatched) files.stop()
      }
    },

    get: (ids) => db.read((connection) => get(connection, ids)),
    list: (query) => searched(query, (plain) => db.read((connection) => list(connection, plain))),
    counts: () => db.read(counts),
    stats: () => db.read(stats),
    logs: (id) => db.read((connection) => logs(connection, id)),
    recorded: (query) => db.read((connection) => recorded(connection, query)),

    cancel: (ids, reason) => db.write((tx) => cancel(tx, ids, reason)),
    retry: (ids) => db.write((tx) => retry(tx, ids)),
    remove: (ids) => db.write((tx) => remove(tx, ids)),
    take: (ids) => db.write((tx) => take(tx, ids)),
    prune: (request) => db.write((tx) => prune(tx, request)),

    pause: (queues) => db.write((tx) => setPaused(tx, queues, true)),
    resume: (queues) => db.write((tx) => setPaused(tx, queues, false)),
    queues: () => db.read((file) => queuesOf(counts(file), pausedOf(file))),
    workers: () => db.read(workerList),
    registerTasks: (tasks) => db.write((tx) => registerTasks(tx, tasks)),
    tasks: () => db.read(taskList),

    hold: (request) => db.write((tx) => hold(tx, request)),
    release: (holding) => db.write((tx) => release(tx, holding)),
    lockOwner: (name) =>
      db.read((connection) => ownerIn(readLock(connection, name), options.clock.now())),
    getRecords: (keys) => db.read((connection) => getRecords(connection, keys)),
    listRecords: (query) => db.read((connection) => listRecords(connection, query)),
    putRecords: (writes) => db.write((tx) => putRecords(tx, writes)),
  }
}

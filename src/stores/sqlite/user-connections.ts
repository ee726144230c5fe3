/** The connections of users' own transactions. */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { ErrandError } from '../../core/errors.ts'
import { Connection, type Handle } from './connection.ts'
import { notImmediate } from './errors.ts'

export class UserConnections {
  readonly #file: string
  readonly #known = new WeakMap<Handle, Connection>()

  constructor(file: string) {
    this.#file = file
  }

  /** Answers the connection of a transaction, once it is known to be one on this file. */
  of(tx: unknown): Connection {
    if (!isHandle(tx)) {
      throw new ErrandError(
        'tx-unsupported',
        'tx must be a DatabaseSync of node:sqlite on the file of the store',
      )
    }
    if (!tx.isTransaction) throw notImmediate()
    let connection = this.#known.get(tx)
    if (connection === undefined) {
      const location = tx.location?.() ?? null
      if (tx.location !== undefined && !isSameFile(location, this.#file)) {
        throw new ErrandError(
          'tx-unsupported',
          `The transaction is on ${location ?? 'memory'}, the store on ${this.#file}: use one file`,
        )
      }
      connection = new Connection(tx)
      this.#known.set(tx, connection)
    }
    return connection
  }

  /** Drops what is kept of a handle; returns whether anything was. */
  forget(tx: unknown): boolean {
    return isHandle(tx) && this.#known.delete(tx)
  }
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'isTransaction' in value &&
    'exec' in value &&
    'prepare' in value &&
    typeof value.exec === 'function' &&
    typeof value.prepare === 'function'
  )
}

function isSameFile(location: string | null, file: string): boolean {
  if (location === null) return false
  try {
    return realpathSync(location) === realpathSync(file)
  } catch {
    return resolve(location) === resolve(file)
  }
}

/** What Errand writes into Consul's keys, the same as Jobslib: who wrote it and when, as JSON. */
import { ErrandError } from '../../core/errors.ts'
import type { HttpAnswer } from '../http-client.ts'
import type { LockOwner } from '../../store/locks.ts'
import { fieldsOf, keyFor } from './key-value.ts'

/** An entry of the key-value store, as `GET /v1/kv/…` answers it. */
export interface ConsulEntry {
  readonly ModifyIndex: number
  /** The session that has acquired the key. */
  readonly Session?: string
  /** In base 64; null when empty. */
  readonly Value: string | null
}

/** The path of a key, with the name of a singleton for `{name}`. Throws `invalid-option` for a leading slash. */
export function pathOf(key: string, name: string): string {
  const path = keyFor(key, name)
  if (path === '' || path.startsWith('/')) {
    throw new ErrandError(
      'invalid-option',
      `A key of Consul must not be empty or begin with a slash: ${JSON.stringify(path)}`,
    )
  }
  return path.split('/').map(encodeURIComponent).join('/')
}

export function entryOf(answer: HttpAnswer): ConsulEntry | null {
  if (answer.status === 404) return null
  const [entry] = JSON.parse(answer.text) as readonly ConsulEntry[]
  return entry ?? null
}

/** The record of Jobslib, and the process beside it. */
export function recordOf(host: string, pid: number, at: number): string {
  const seconds = Math.floor(at / 1_000)
  const pad = (part: number): string => String(part).padStart(2, '0')
  const date = new Date(seconds * 1_000)
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(pad).join('-')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(':')
  return JSON.stringify({
    fqdn: host,
    timestamp: seconds,
    time_utc: date.toISOString().slice(0, 19).replace('T', ' '),
    time_local: `${day} ${time}`,
    pid,
  })
}

/** Reads a record, whoever wrote it: what it does not tell is null. */
export function ownerOf(entry: ConsulEntry): LockOwner {
  const { fqdn, timestamp, pid } = fieldsOf(entry.Value)
  return {
    host: typeof fqdn === 'string' ? fqdn : 'unknown',
    pid: typeof pid === 'number' ? pid : null,
    since: typeof timestamp === 'number' ? timestamp * 1_000 : null,
    token: null,
  }
}

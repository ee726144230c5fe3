/**
 * Points for InfluxDB, by the line protocol of version 1, which later versions still take. They travel in batches; while the server is away they are
 * kept, the newest of them, and tried again. A batch that the server refuses is halved until the bad point alone is dropped.
 */
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readFunction, readTexts, refuseValue } from '../../core/read.ts'
import { mostCount } from '../../core/options.ts'
import { HttpClient, httpOptionNames, type HttpOptions } from '../http-client.ts'
import type { Metrics, Point } from './metrics.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

export interface InfluxdbOptions extends HttpOptions {
  /** The database; of version 2 and 3 the bucket, as `database` or `database/policy` is mapped to it. */
  readonly database: string
  readonly retentionPolicy?: string
  readonly user?: string
  readonly password?: string
  /** A token of version 2 or 3, in place of user and password. */
  readonly token?: string
  /** Points that are kept while the server is away; beyond it the oldest go. Default 10,000. */
  readonly buffer?: number
  /** Hears of what could not be delivered and will be tried again in so many milliseconds, and, with null, of what was dropped. */
  readonly onError?: (error: ErrandError, againMs: number | null) => void
}

const fallbackUrl = 'http://localhost:8086'
const defaults = { buffer: 10_000 } as const
const batchPoints = 1_000
const retryMs = { first: 500, most: 30_000 } as const

/** Delivers points to InfluxDB. Opens nothing. Throws `invalid-option`. */
export function influxdb(options: InfluxdbOptions): Metrics {
  refuseUnknownKeys(
    options,
    [
      ...httpOptionNames,
      'database',
      'retentionPolicy',
      'user',
      'password',
      'token',
      'buffer',
      'onError',
    ],
    'influxdb()',
  )
  if (typeof options.database !== 'string' || options.database === '')
    throw new ErrandError('invalid-option', 'influxdb() needs a database')
  readTexts(options, ['retentionPolicy', 'user', 'password', 'token'], 'influxdb()')
  const { buffer = defaults.buffer, onError } = options
  if (!Number.isInteger(buffer) || buffer < 1 || buffer > mostCount)
    refuseValue('influxdb().buffer', `a whole number from 1 to ${mostCount}`, buffer)
  if (onError !== undefined) readFunction(onError, 'influxdb().onError')
  return new Influxdb(options)
}

class Influxdb implements Metrics {
  readonly info: Metrics['info']
  readonly #http: HttpClient
  readonly #options: InfluxdbOptions
  readonly #target: string
  readonly #headers: Readonly<Record<string, string>>
  #points: Point[] = []
  #work: Promise<void> | null = null
  #failures = 0
  #timer: NodeJS.Timeout | null = null
  #isClosing = false

  constructor(options: InfluxdbOptions) {
    const { database, retentionPolicy, user, password = '', token } = options
    this.#options = options
    this.#http = new HttpClient('influxdb()', fallbackUrl, options)
    this.info = { kind: 'influxdb', location: `${this.#http.location}, ${database}` }
    const query = new URLSearchParams({
      db: database,
      precision: 'ns',
      ...(retentionPolicy === undefined ? {} : { rp: retentionPolicy }),
    })
    this.#target = `/write?${query.toString()}`
    const basic = (): string => Buffer.from(`${user}:${password}`).toString('base64')
    this.#headers =
      token !== undefined
        ? { authorization: `Token ${token}` }
        : user !== undefined
          ? { authorization: `Basic ${basic()}` }
          : {}
  }

  push(points: readonly Point[]): void {
    this.#points.push(...points)
    const most = this.#options.buffer ?? defaults.buffer
    if (this.#points.length > most) {
      const dropped = this.#points.splice(0, this.#points.length - most).length
      this.#tell(`${this.info.location}: ${dropped} points were dropped, for ${most} are kept`)
    }
    if (this.#timer === null) this.#deliverSoon(0)
  }

  async close(ms: number): Promise<void> {
    this.#isClosing = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const late = setTimeout(() => this.#http.close(), ms)
    await this.#work
    if (this.#points.length > 0) await this.#deliver()
    clearTimeout(late)
    this.#http.close()
    if (this.#points.length > 0)
      this.#tell(`${this.info.location}: ${this.#points.length} points were not delivered`)
  }

  #deliverSoon(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#work = this.#deliver().then((isDone) => {
        this.#timer = null
        this.#work = null
        if (this.#isClosing || this.#points.length === 0) return
        this.#deliverSoon(isDone ? 0 : this.#againMs)
      })
    }, ms)
    this.#timer.unref()
  }

  get #againMs(): number {
    return Math.min(retryMs.first * 2 ** this.#failures, retryMs.most)
  }

  /** Delivers the oldest points; answers whether the server took or refused them. */
  async #deliver(): Promise<boolean> {
    const batch = this.#points.slice(0, batchPoints)
    try {
      await this.#send(batch)
      this.#failures = 0
    } catch (error) {
      this.#failures = Math.min(this.#failures + 1, 10)
      this.#options.onError?.(error as ErrandError, this.#isClosing ? null : this.#againMs)
      return false
    }
    const sent = new Set(batch)
    this.#points = this.#points.filter((point) => !sent.has(point))
    return true
  }

  async #send(batch: readonly Point[]): Promise<void> {
    if (batch.length === 0) return
    const answer = await this.#http.call({
      method: 'POST',
      path: this.#target,
      headers: { ...this.#headers, 'content-type': 'text/plain; charset=utf-8' },
      body: batch.map(lineOf).join('\n'),
    })
    if (answer.status < 300) return
    const why = answer.text.trim().slice(0, 200)
    if (answer.status !== 400 && answer.status !== 413 && answer.status !== 422) {
      throw new ErrandError(
        'server-unavailable',
        `${this.info.location} does not take points now: status ${answer.status} ${why}`,
        { details: { status: answer.status } },
      )
    }
    const [only] = batch
    if (batch.length === 1 && only !== undefined) {
      this.#tell(`${this.info.location} refused a point of ${only.measurement}: ${why}`)
      return
    }
    const half = Math.ceil(batch.length / 2)
    await this.#send(batch.slice(0, half))
    await this.#send(batch.slice(half))
  }

  #tell(message: string): void {
    this.#options.onError?.(new ErrandError('server-refused', message), null)
  }
}

/** A point in the line protocol. Empty tags are left out, as the protocol wants it. */
export function lineOf({ measurement, tags, value, atNs }: Point): string {
  const named = Object.entries(tags)
    .filter(([, tag]) => tag !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, tag]) => `,${escaped(name, /[,= ]/g)}=${escaped(tag, /[,= ]/g)}`)
  return `${escaped(measurement, /[, ]/g)}${named.join('')} value=${value} ${atNs}`
}

/** Line breaks cannot be escaped, nor can a backslash at the end. */
function escaped(text: string, special: RegExp): string {
  const plain = text.replaceAll(/[\r\n]+/g, ' ').replace(/\\+$/, '')
  return plain.replaceAll(special, String.raw`\$&`)
}

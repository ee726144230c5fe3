/** Connections to the server: the store's own, or those that the user's pool or client gives. */
import { missingPeer } from '../missing-peer.ts'
import { closedError, lateError } from './errors.ts'
import type { Row, Value } from './rows.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** One statement as `pg` takes it. */
export interface Query {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
}

/** What is used of a client of `pg`. */
export interface PgClient {
  query(config: object): Promise<{ rows: unknown } | readonly { rows: unknown }[]>
  on(event: string, listener: (value: never) => void): unknown
  removeListener(event: string, listener: (value: never) => void): unknown
}

interface OwnClient extends PgClient {
  connect(): Promise<unknown>
  end(): Promise<unknown>
  ref(): void
  unref(): void
  readonly connection: { readonly stream: { destroy(): void } }
}

interface PooledClient extends PgClient {
  release(error?: boolean): void
}

/** What is used of a pool of `pg`. */
export interface PgPool {
  connect(): Promise<PooledClient>
  readonly options?: { readonly max?: number }
}

/** A connection that is one caller's until it is given back. */
export interface Held {
  readonly client: PgClient
  run(query: Query): Promise<readonly Row[]>
  /** Gives the connection back; `broken` throws it away. */
  release(broken: boolean): void
}

/** Where connections come from. */
export interface Source {
  hold(): Promise<Held>
  /** A connection that stays, for notifications. It may serve other calls between them. */
  holdListening(): Promise<Held>
  close(): Promise<void>
}

/** Numbers as numbers, truth values as such, everything else as text. */
const types = {
  getTypeParser: (oid: number): ((text: string) => Value) =>
    oid === 20 || oid === 21 || oid === 23 ? Number : oid === 16 ? isTrue : asText,
}
const isTrue = (text: string): boolean => text === 't'
const asText = (text: string): string => text

/** Runs one statement within a deadline; one that passes it leaves the connection unusable. */
async function run(client: PgClient, query: Query, deadline: Deadline): Promise<readonly Row[]> {
  const answer = client.query({ ...query, rowMode: 'array', types })
  const result = await deadline.of(answer)
  // Several statements in one text answer a list.
  return (Array.isArray(result) ? [] : (result as { rows: unknown }).rows) as readonly Row[]
}

/** Bounds calls in time. */
export class Deadline {
  readonly ms: number
  readonly #location: string

  constructor(ms: number, location: string) {
    this.ms = ms
    this.#location = location
  }

  of<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(lateError(this.#location, this.ms)), this.ms)
      call.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }
}

interface Lane {
  client: OwnClient | null
  connecting: Promise<OwnClient> | null
  isBusy: boolean
  /** The last statement that is under way or waits, of the lane's holder or of the listener; null when there is none. */
  last: Promise<void> | null
}

interface Waiter {
  readonly resolve: (lane: Lane) => void
  readonly reject: (error: unknown) => void
}

/**
 * The store's own connections, opened as they are needed. Those that rest do not keep the process alive. The last of them listens too.
 */
export class OwnConnections implements Source {
  readonly #config: object
  readonly #lanes: Lane[]
  readonly #waiting: Waiter[] = []
  readonly #deadline: Deadline
  readonly #location: string
  #isClosed = false

  constructor(config: object, count: number, deadline: Deadline, location: string) {
    this.#config = config
    this.#deadline = deadline
    this.#location = location
    this.#lanes = Array.from({ length: count }, () => ({
      client: null,
      connecting: null,
      isBusy: false,
      last: null,
    }))
  }

  async hold(): Promise<Held> {
    const lane = await this.#free()
    try {
      return this.#held(lane, await this.#open(lane))
    } catch (error) {
      this.#release(lane)
      throw error
    }
  }

  async holdListening(): Promise<Held> {
    const lane = this.#lanes.at(-1)
    if (lane === undefined) throw closedError(this.#location)
    const client = await this.#open(lane)
    return {
      client,
      run: (query) => this.#run(lane, client, query),
      release: (broken) => {
        if (broken) this.#drop(lane, client)
      },
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { reject } of this.#waiting.splice(0)) reject(closedError(this.#location))
    await Promise.all(
      this.#lanes.map(async (lane) => {
        const client = lane.client ?? (await lane.connecting?.catch(() => null)) ?? null
        if (client === null) return
        lane.client = null
        client.ref()
        const timer = setTimeout(() => client.connection.stream.destroy(), 1_000)
        await client.end().catch(() => {})
        clearTimeout(timer)
      }),
    )
  }

  /** A lane that nobody uses: one that is connected rather than another. */
  async #free(): Promise<Lane> {
    if (this.#isClosed) throw closedError(this.#location)
    const idle = this.#lanes.filter(({ isBusy }) => !isBusy)
    const lane = idle.find(({ client }) => client !== null) ?? idle[0]
    if (lane !== undefined) {
      lane.isBusy = true
      return lane
    }
    return this.#deadline.of(
      new Promise<Lane>((resolve, reject) => {
        this.#waiting.push({ resolve, reject })
      }),
    )
  }

  #release(lane: Lane): void {
    const next = this.#waiting.shift()
    if (next === undefined) lane.isBusy = false
    else next.resolve(lane)
  }

  async #open(lane: Lane): Promise<OwnClient> {
    if (this.#isClosed) throw closedError(this.#location)
    if (lane.client !== null) return lane.client
    lane.connecting ??= this.#connect(lane).finally(() => {
      lane.connecting = null
    })
    return lane.connecting
  }

  async #connect(lane: Lane): Promise<OwnClient> {
    const { Client } = await peer()
    const client = new Client(this.#config)
    const gone = (): void => this.#drop(lane, client)
    client.on('error', gone)
    client.on('end', gone)
    try {
      await this.#deadline.of(client.connect())
    } catch (error) {
      client.connection.stream.destroy()
      throw error
    }
    if (!lane.isBusy) client.unref()
    lane.client = client
    return client
  }

  #drop(lane: Lane, client: OwnClient): void {
    if (lane.client === client) lane.client = lane.last = null
    client.connection.stream.destroy()
  }

  #held(lane: Lane, client: OwnClient): Held {
    client.ref()
    return {
      client,
      run: (query) => this.#run(lane, client, query),
      release: (broken) => {
        if (broken) this.#drop(lane, client)
        else client.unref()
        this.#release(lane)
      },
    }
  }

  /** One statement after the other: a client takes no second one while it is busy. */
  #run(lane: Lane, client: OwnClient, query: Query): Promise<readonly Row[]> {
    const start = (): Promise<readonly Row[]> => run(client, query, this.#deadline)
    const answer = lane.last === null ? start() : lane.last.then(start)
    const ended: Promise<void> = answer.then(nothing, nothing).then(() => {
      if (lane.last === ended) lane.last = null
    })
    lane.last = ended
    return answer
  }
}

/** The user's pool: takes clients and gives them back. */
export class PoolConnections implements Source {
  readonly #pool: PgPool
  readonly #deadline: Deadline

  constructor(pool: PgPool, deadline: Deadline) {
    this.#pool = pool
    this.#deadline = deadline
  }

  async hold(): Promise<Held> {
    const client = await this.#deadline.of(this.#pool.connect())
    // Without this, a client that breaks while it is taken would end the process.
    const broken = (): void => {}
    client.on('error', broken)
    return {
      client,
      run: (query) => run(client, query, this.#deadline),
      release: (isBroken) => {
        client.removeListener('error', broken)
        client.release(isBroken)
      },
    }
  }

  holdListening(): Promise<Held> {
    return this.hold()
  }

  async close(): Promise<void> {}
}

/** The user's only client: one call after the other. */
export class ClientConnection implements Source {
  readonly #client: PgClient
  readonly #deadline: Deadline
  #last: Promise<unknown> = Promise.resolve()

  constructor(client: PgClient, deadline: Deadline) {
    this.#client = client
    this.#deadline = deadline
  }

  async hold(): Promise<Held> {
    const before = this.#last
    let release = (): void => {}
    this.#last = new Promise<void>((resolve) => (release = resolve))
    await this.#deadline.of(before)
    return {
      client: this.#client,
      run: (query) => run(this.#client, query, this.#deadline),
      release,
    }
  }

  async holdListening(): Promise<Held> {
    const call = async (query: Query): Promise<readonly Row[]> => {
      const held = await this.hold()
      try {
        return await held.run(query)
      } finally {
        held.release(false)
      }
    }
    return { client: this.#client, run: call, release: () => {} }
  }

  async close(): Promise<void> {}
}

function nothing(): void {}

async function peer(): Promise<{ readonly Client: new (config: object) => OwnClient }> {
  try {
    return (await import('pg')) as unknown as { readonly Client: new (config: object) => OwnClient }
  } catch (cause) {
    throw missingPeer('errand/postgres', 'pg', cause)
  }
}

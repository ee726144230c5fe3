/** The store's own connections, opened as they are needed. */
import { Session, type Deadline, type Held, type Source } from './connection.ts'
import { cut, dial, hangUp, isLost, ownClient, type OwnClient } from './dial.ts'
import { closedError } from './errors.ts'
import { Turns } from './turns.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

/** A statement that is not answered for so long is asked after: its connection may be lost without a word. */
const doubtMs = 2_000

interface Lane {
  session: Session<OwnClient> | null
  connecting: Promise<Session<OwnClient>> | null
  isBusy: boolean
}

/**
 * A fixed number of lanes, each with a connection or without. Those that rest do not keep the process alive. The last of them
 * listens too, between the statements of others.
 */
export class OwnConnections implements Source {
  readonly mayBeInTransaction = false
  readonly #config: object
  readonly #lanes: Lane[]
  readonly #turns = new Turns<Lane>()
  readonly #deadline: Deadline
  readonly #closing = new AbortController()

  constructor(config: object, count: number, deadline: Deadline) {
    this.#config = config
    this.#deadline = deadline
    this.#lanes = Array.from({ length: count }, () => ({
      session: null,
      connecting: null,
      isBusy: false,
    }))
  }

  async hold(withinMs?: number): Promise<Held> {
    const lane = await this.#free(withinMs)
    try {
      for (;;) {
        const session = await this.#open(lane)
        // What the listener has under way ends in time, or it ends the connection, and then another is taken.
        if (session.busy !== null) await session.busy
        if (lane.session === session) return this.#held(lane, session)
      }
    } catch (error) {
      this.#release(lane)
      throw error
    }
  }

  async holdListening(): Promise<Held> {
    const lane = this.#lanes.at(-1)
    if (lane === undefined) throw closedError(this.#deadline.location)
    const session = await this.#open(lane)
    return {
      client: session.client,
      run: (query, withinMs) => session.run(query, withinMs),
      release: (broken) => {
        if (broken) this.#drop(lane, session)
      },
    }
  }

  dropAll(): void {
    for (const lane of this.#lanes) if (lane.session !== null) this.#drop(lane, lane.session)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#turns.refuseAll(closedError(this.#deadline.location))
    await Promise.all(
      this.#lanes.map(async (lane) => {
        const session = lane.session ?? (await lane.connecting?.catch(() => null)) ?? null
        lane.session = null
        if (session !== null) await hangUp(session.client)
      }),
    )
  }

  /** A lane that nobody uses: one that is connected rather than another. */
  async #free(withinMs: number | undefined): Promise<Lane> {
    if (this.#closing.signal.aborted) throw closedError(this.#deadline.location)
    const idle = this.#lanes.filter(({ isBusy }) => !isBusy)
    const lane = idle.find(({ session }) => session !== null) ?? idle[0]
    if (lane === undefined) return this.#turns.wait(this.#deadline, withinMs)
    lane.isBusy = true
    return lane
  }

  #release(lane: Lane): void {
    if (!this.#turns.give(lane)) lane.isBusy = false
  }

  async #open(lane: Lane): Promise<Session<OwnClient>> {
    if (this.#closing.signal.aborted) throw closedError(this.#deadline.location)
    if (lane.session !== null) return lane.session
    lane.connecting ??= this.#connect(lane).finally(() => {
      lane.connecting = null
    })
    return lane.connecting
  }

  async #connect(lane: Lane): Promise<Session<OwnClient>> {
    const client = await this.#dial()
    const drop = (): void => this.#drop(lane, session)
    const session: Session<OwnClient> = new Session(client, this.#deadline, drop, () =>
      this.#watch(lane, session),
    )
    client.on('error', drop)
    client.on('end', drop)
    if (!lane.isBusy) client.unref()
    lane.session = session
    return session
  }

  #dial(): Promise<OwnClient> {
    return dial(ownClient, this.#config, this.#deadline, this.#closing.signal)
  }

  #drop(lane: Lane, session: Session<OwnClient>): void {
    if (lane.session === session) lane.session = null
    session.end()
    cut(session.client)
  }

  #held(lane: Lane, session: Session<OwnClient>): Held {
    const { client } = session
    client.ref()
    return {
      client,
      run: (query, withinMs) => session.run(query, withinMs),
      release: (broken) => {
        if (broken) this.#drop(lane, session)
        else client.unref()
        this.#release(lane)
      },
    }
  }

  /** Asks after a statement again and again until it is answered, and drops its connection when that is lost. */
  #watch(lane: Lane, session: Session<OwnClient>): () => void {
    let isAnswered = false
    const doubt = async (): Promise<void> => {
      const lost = await isLost(session.client, () => this.#dial(), this.#deadline).catch(
        () => false,
      )
      if (isAnswered || this.#closing.signal.aborted) return
      if (lost) return this.#drop(lane, session)
      timer = doubtLater()
    }
    const doubtLater = (): NodeJS.Timeout => setTimeout(() => void doubt(), doubtMs).unref()
    let timer = doubtLater()
    return () => {
      isAnswered = true
      clearTimeout(timer)
    }
  }
}

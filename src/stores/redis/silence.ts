/**
 * Ends connections that have gone dead without a word, as those to a host that vanished do: the
 * system would wait for a quarter of an hour. Looks while calls are under way, and counts looks
 * rather than time, so that an event loop that was blocked, with the answers waiting to be read,
 * does not take its own silence for the server's.
 */
import { isReady, type RedisClient } from './client.ts'
import { clearInterval, setInterval } from '../../core/timers.ts'

const lookMs = 500
/** So many looks in a row after the first at which an answer is owed and nothing was read. */
const mostLooks = 6

export class Silence {
  readonly #clients: () => readonly RedisClient[]
  readonly #seen = new WeakMap<object, { read: number; looks: number }>()
  #underWay = 0
  #timer: NodeJS.Timeout | null = null

  /** `clients` are those to look at, each with one connection. */
  constructor(clients: () => readonly RedisClient[]) {
    this.#clients = clients
  }

  /** To be called before each call. */
  begin(): void {
    this.#underWay += 1
    if (this.#timer !== null) return
    this.#timer = setInterval(() => this.#look(), lookMs)
    this.#timer.unref()
  }

  /** To be called after each call. */
  end(): void {
    this.#underWay -= 1
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #look(): void {
    if (this.#underWay === 0) return this.stop()
    for (const client of this.#clients()) {
      const { stream, commandQueue } = client
      if (stream === undefined) continue
      const read = stream.bytesRead ?? 0
      const seen = this.#seen.get(stream)
      const isOwed = isReady(client) && commandQueue?.length !== 0
      if (!isOwed) this.#seen.delete(stream)
      else if (seen === undefined || seen.read !== read) this.#seen.set(stream, { read, looks: 0 })
      else if (++seen.looks >= mostLooks) stream.destroy?.()
    }
  }
}

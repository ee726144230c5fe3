/**
 * The tokens as one manager knows them: all of them, read from the store every half second while
 * somebody asks. A flood of forged tokens makes that ten times a second, and no more.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Ticks } from '../../loops/time.ts'
import type { Store } from '../../store/store.ts'
import { hashOf, idOf, readTokens, type KeptToken } from './tokens.ts'

/** Milliseconds since what is known was asked for. Together with the reading they are below 2 s. */
const ages = {
  /** From then on a token that is not known yet is looked for anew. */
  doubtMs: 100,
  /** From then on it is read anew, while callers go on with what is known. */
  renewMs: 500,
  /** From then on callers wait for the reading. */
  trustMs: 1_500,
} as const

type Known = ReadonlyMap<string, KeptToken | null>

export class TokenBook {
  readonly #store: Store
  readonly #ticks: Ticks
  #known: Known = new Map()
  /**
   * Tokens whose hash was compared since they were read. To look one up compares no two secrets: a text that differs anywhere has
   * another hash in the map.
   */
  readonly #proven = new Map<string, KeptToken>()
  #askedAt = -Infinity
  #reading: Promise<Known> | null = null
  #changes = 0

  constructor(store: Store, ticks: Ticks) {
    this.#store = store
    this.#ticks = ticks
  }

  /** The token that a caller presents; null for one that is unknown, or revoked. Rejects with errors of the store. */
  find(token: string): KeptToken | null | Promise<KeptToken | null> {
    const all = this.#all()
    if (all instanceof Map) {
      const proven = this.#proven.get(token)
      if (proven !== undefined) return proven
    }
    const id = idOf(token)
    if (id === null) return null
    if (!(all instanceof Map && all.has(id))) return this.#findLate(id, token, all)
    const kept = matching(all.get(id) ?? null, token)
    if (kept !== null) this.#proven.set(token, kept)
    return kept
  }

  async #findLate(
    id: string,
    token: string,
    all: Known | Promise<Known>,
  ): Promise<KeptToken | null> {
    let known = await all
    if (!known.has(id) && this.#ticks() - this.#askedAt >= ages.doubtMs)
      known = await (this.#reading ??= this.#read())
    return matching(known.get(id) ?? null, token)
  }

  /** Whether a token of this id is known. Rejects with errors of the store. */
  async has(id: string): Promise<boolean> {
    return (await this.#all()).has(id)
  }

  /** The token of an id; null for one that is unknown, or revoked. Rejects with errors of the store. */
  async get(id: string): Promise<KeptToken | null> {
    return (await this.#all()).get(id) ?? null
  }

  /** Whether no token was made, or all are revoked. Rejects with errors of the store. */
  async isEmpty(): Promise<boolean> {
    return (await this.#all()).size === 0
  }

  /** Reads the tokens anew at the next question, because they have changed. */
  changed(): void {
    this.#changes++
    this.#proven.clear()
    this.#askedAt = -Infinity
    this.#reading = null
  }

  #all(): Known | Promise<Known> {
    const ageMs = this.#ticks() - this.#askedAt
    if (ageMs < ages.renewMs) return this.#known
    this.#reading ??= this.#read()
    if (ageMs >= ages.trustMs) return this.#reading
    // Whoever asks when the time is up gets the error.
    this.#reading.catch(() => undefined)
    return this.#known
  }

  async #read(): Promise<Known> {
    const changes = this.#changes
    const askedAt = this.#ticks()
    try {
      const known = await readTokens(this.#store)
      if (changes === this.#changes) {
        this.#known = known
        this.#proven.clear()
        this.#askedAt = askedAt
      }
      return known
    } finally {
      // A reading from before a change is not this one any more.
      if (changes === this.#changes) this.#reading = null
    }
  }
}

function matching(kept: KeptToken | null, token: string): KeptToken | null {
  if (kept === null) return null
  return timingSafeEqual(Buffer.from(hashOf(token)), Buffer.from(kept.hash)) ? kept : null
}

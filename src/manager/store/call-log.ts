/**
 * What calls came to whose answer may get lost: a try that comes again waits for the first, or gets its answer, and nothing is done
 * twice. A call that is under way is always known. The answers of calls that may not be made twice are kept for some minutes,
 * within a bound of bytes; a manager that has not seen the first try, or has forgotten it, says so.
 */
import { performance } from '../../core/timers.ts'

const keptMs = 300_000
const mostBytes = 33_554_432
const mostCalls = 50_000

interface Kept {
  readonly answer: string
  readonly at: number
}

export class CallLog {
  readonly #underWay = new Map<string, Promise<string>>()
  /** In the order of their answers. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  /** The answer of a call that was made before, or is being made; undefined when none is known. */
  find(id: string): Promise<string> | string | undefined {
    return this.#underWay.get(id) ?? this.#kept.get(id)?.answer
  }

  /** Makes a call. What it rejects with is not kept: it changed nothing, or is told as not known. */
  async make(id: string, call: () => Promise<string>, isKept: boolean): Promise<string> {
    const made = call()
    this.#underWay.set(id, made)
    try {
      const answer = await made
      if (isKept) this.#keep(id, answer)
      return answer
    } finally {
      if (this.#underWay.get(id) === made) this.#underWay.delete(id)
    }
  }

  #keep(id: string, answer: string): void {
    this.#drop(id)
    this.#kept.set(id, { answer, at: performance.now() })
    this.#bytes += answer.length
    const oldest = performance.now() - keptMs
    for (const [known, { at }] of this.#kept) {
      if (this.#bytes <= mostBytes && this.#kept.size <= mostCalls && at > oldest) return
      this.#drop(known)
    }
  }

  #drop(id: string): void {
    this.#bytes -= this.#kept.get(id)?.answer.length ?? 0
    this.#kept.delete(id)
  }
}

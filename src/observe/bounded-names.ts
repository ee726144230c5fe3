/** Names as labels of metrics and charts, bounded in number so that memory and servers stay small. */

/** The most names of one kind that are kept apart. */
export const mostNames = 200

/** The name that further ones are counted under. */
export const otherName = 'other'

/** A value for each name, or pair of names; those that come when it is full share one. */
export class BoundedNames<T> {
  readonly #most: number
  readonly #make: (first: string, second: string) => T
  readonly #byFirst = new Map<string, Map<string, T>>()
  #size = 0

  constructor(make: (first: string, second: string) => T, most: number = mostNames) {
    this.#make = make
    this.#most = most
  }

  /** The value of a name, and of a second one where there are two. */
  of(first: string, second = ''): T {
    const found = this.#byFirst.get(first)?.get(second)
    if (found !== undefined) return found
    const isFull = this.#size >= this.#most
    if (isFull) return this.#shared(second === '' ? '' : otherName)
    this.#size++
    return this.#add(first, second)
  }

  /** All of them, with their names. */
  *entries(): Generator<readonly [first: string, second: string, value: T]> {
    for (const [first, seconds] of this.#byFirst)
      for (const [second, value] of seconds) yield [first, second, value]
  }

  #shared(second: string): T {
    return this.#byFirst.get(otherName)?.get(second) ?? this.#add(otherName, second)
  }

  #add(first: string, second: string): T {
    const seconds = this.#byFirst.get(first) ?? new Map<string, T>()
    this.#byFirst.set(first, seconds)
    const value = this.#make(first, second)
    seconds.set(second, value)
    return value
  }
}

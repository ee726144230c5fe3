/** A priority queue that can also drop an element from its middle. */

/** Keeps elements so that the one that `compare` puts first is at hand. An element must not change its rank while it is inside. */
export class Heap<T> {
  readonly #compare: (a: T, b: T) => number
  readonly #items: T[] = []
  readonly #places = new Map<T, number>()

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#items.length
  }

  first(): T | undefined {
    return this.#items[0]
  }

  add(item: T): void {
    this.#items.push(item)
    this.#places.set(item, this.#items.length - 1)
    this.#rise(this.#items.length - 1)
  }

  /** Takes the element out; nothing happens when it is not inside. */
  delete(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    this.#swap(place, this.#items.length - 1)
    this.#items.pop()
    this.#places.delete(item)
    if (place < this.#items.length) {
      this.#rise(place)
      this.#sink(place)
    }
  }

  #rise(place: number): void {
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!this.#precedes(place, parent)) return
      this.#swap(place, parent)
      place = parent
    }
  }

  #sink(place: number): void {
    for (;;) {
      let least = place
      if (this.#precedes(2 * place + 1, least)) least = 2 * place + 1
      if (this.#precedes(2 * place + 2, least)) least = 2 * place + 2
      if (least === place) return
      this.#swap(place, least)
      place = least
    }
  }

  #precedes(a: number, b: number): boolean {
    if (a >= this.#items.length) return false
    return this.#compare(this.#items[a] as T, this.#items[b] as T) < 0
  }

  #swap(a: number, b: number): void {
    const itemA = this.#items[a] as T
    const itemB = this.#items[b] as T
    this.#items[a] = itemB
    this.#items[b] = itemA
    this.#places.set(itemB, a)
    this.#places.set(itemA, b)
  }
}

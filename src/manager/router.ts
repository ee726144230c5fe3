/**
 * Finds what belongs to a path: one tree of segments for each method. Of two paths that fit, the one with the earlier plain segment
 * wins over the one with a parameter there.
 */

/** A path as OpenAPI writes it, `/v1/jobs/{id}`, and what belongs to it. */
interface Pathed {
  readonly method: string
  readonly path: string
}

interface Found<T> {
  readonly value: T
  /** The parameters, decoded. */
  readonly params: Readonly<Record<string, string>>
}

interface Branch<T> {
  readonly plain: Map<string, Branch<T>>
  parameter: Branch<T> | null
  end: { readonly value: T; readonly names: readonly string[] } | null
}

/** So many paths that were found lately are found without a walk. */
const mostLately = 1_000

export class Router<T extends Pathed> {
  readonly #trees = new Map<string, Branch<T>>()
  readonly #lately = new Map<string, Found<T>>()

  constructor(values: readonly T[]) {
    for (const value of values) this.#add(value)
  }

  find(method: string, path: string): Found<T> | null {
    const key = `${method} ${path}`
    const known = this.#lately.get(key)
    if (known !== undefined) return known
    const found = this.#walk(method, path)
    if (this.#lately.size >= mostLately) this.#lately.clear()
    if (found !== null) this.#lately.set(key, found)
    return found
  }

  #walk(method: string, path: string): Found<T> | null {
    const tree = this.#trees.get(method)
    if (tree === undefined) return null
    const given: string[] = []
    const end = walk(tree, segmentsOf(path), 0, given)
    if (end === null) return null
    const params: Record<string, string> = {}
    for (const [index, name] of end.names.entries()) params[name] = given[index] ?? ''
    return { value: end.value, params }
  }

  /** The methods that a path takes. */
  methodsOf(path: string): readonly string[] {
    return [...this.#trees.keys()].filter((method) => this.find(method, path) !== null)
  }

  #add(value: T): void {
    let branch = this.#trees.get(value.method)
    if (branch === undefined) this.#trees.set(value.method, (branch = newBranch()))
    const names: string[] = []
    for (const segment of value.path.split('/')) {
      const name = /^\{(\w+)\}$/.exec(segment)?.[1]
      if (name !== undefined) names.push(name)
      branch = name === undefined ? plainIn(branch, segment) : (branch.parameter ??= newBranch())
    }
    branch.end = { value, names }
  }
}

function newBranch<T>(): Branch<T> {
  return { plain: new Map(), parameter: null, end: null }
}

function plainIn<T>({ plain }: Branch<T>, segment: string): Branch<T> {
  let branch = plain.get(segment)
  if (branch === undefined) plain.set(segment, (branch = newBranch()))
  return branch
}

/** Walks on from a segment; `given` has the parameters on the way. */
function walk<T>(
  branch: Branch<T>,
  segments: readonly string[],
  at: number,
  given: string[],
): Branch<T>['end'] {
  const segment = segments[at]
  if (segment === undefined) return branch.end
  const plain = branch.plain.get(segment)
  const end = plain === undefined ? null : walk(plain, segments, at + 1, given)
  if (end !== null || branch.parameter === null || segment === '') return end
  const before = given.length
  given.push(segment)
  const behind = walk(branch.parameter, segments, at + 1, given)
  if (behind === null) given.length = before
  return behind
}

/** The segments of a path, each decoded; one that cannot be is taken as it is. */
function segmentsOf(path: string): readonly string[] {
  const segments = path.split('/')
  return path.includes('%') ? segments.map(decoded) : segments
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/**
 * Parts: hidden jobs that need some of the nodes each, so that no job needs thousands. An end waits for parts of its
 * members; a node waits for parts of what it needs, and what it refers to comes to it through them.
 */
import { followUpId } from '../../core/id.ts'
import { moveReferences, written, type Reference } from '../../core/references.ts'
import type { Edge, EndNode, GraphNode, Member, PartNode, PlannedNode, TaskNode } from './graph.ts'

/** How many jobs a part needs. */
export const partSize = 100
/** A job that needs more than this many has parts. A run that is stored in one step has none. */
export const mostNeeds = 200

/**
 * Adds parts for each node that needs too many. A part comes right behind the last of its members, so that a step of a start mostly
 * holds both: a job that is stored with those that need it is written once.
 */
export function withParts(run: string, nodes: readonly GraphNode[]): readonly PlannedNode[] {
  if (nodes.every(({ needs }) => needs.size <= mostNeeds)) return nodes
  const places = new Map(nodes.map(({ id }, place) => [id, place]))
  const names = new Map(nodes.map(({ id, name }) => [id, name]))
  const behind = new Map<number, PartNode[]>()
  const planned = nodes.map((node) => {
    if (node.needs.size <= mostNeeds) return node
    const split = new Split(run, node, (id) => names.get(id) ?? id)
    const whole = split.node()
    for (const part of split.parts) {
      const last = part.members.reduce((at, { id }) => Math.max(at, places.get(id) ?? 0), 0)
      const others = behind.get(last)
      if (others === undefined) behind.set(last, [part])
      else others.push(part)
    }
    return whole
  })
  return planned.flatMap((node, place) => [node, ...(behind.get(place) ?? [])])
}

class Split {
  readonly parts: PartNode[] = []
  readonly #run: string
  readonly #node: GraphNode
  readonly #nameOf: (id: string) => string
  readonly #needs = new Map<string, Edge>()

  constructor(run: string, node: GraphNode, nameOf: (id: string) => string) {
    this.#run = run
    this.#node = node
    this.#nameOf = nameOf
  }

  /** What is left of the node once its parts are made. */
  node(): GraphNode {
    const node = this.#node
    return node.kind === 'end' ? this.#ofEnd(node) : this.#ofTask(node)
  }

  #ofEnd(node: EndNode): GraphNode {
    const counted = node.members.length > mostNeeds
    if (counted) {
      for (const members of chunks(node.members, partSize))
        this.#part({ members, isTolerant: false, onFailed: 'run', isHanded: false })
    }
    const ended = new Set(counted ? node.members.map(({ id }) => id) : [])
    this.#plain([...node.needs].filter(([id, { isHanded }]) => !isHanded && !ended.has(id)))
    const output = this.#handed(node.output)
    const parts = this.parts.map(({ id }) => id)
    const members = counted ? [] : node.members
    return { ...node, parts, members, needs: this.#needs, output }
  }

  #ofTask(node: TaskNode): GraphNode {
    this.#plain([...node.needs].filter(([, { isHanded }]) => !isHanded))
    const input = this.#handed(node.input)
    return { ...node, input, needs: this.#needs }
  }

  /** Needs without data: parts of them, where they are many. */
  #plain(edges: readonly (readonly [string, Edge])[]): void {
    if (edges.length <= partSize) {
      for (const [id, edge] of edges) this.#needs.set(id, edge)
      return
    }
    for (const [onFailed, ids] of byPolicy(edges)) {
      for (const some of chunks(ids, partSize)) {
        const members = some.map((id) => this.#memberOf(id))
        this.#part({ members, isTolerant: true, onFailed, isHanded: false })
      }
    }
  }

  /** Lets parts come to what the value refers to, where that is much, and the value refer to the parts. */
  #handed(value: unknown): unknown {
    const edges = [...this.#node.needs].filter(([, { isHanded }]) => isHanded)
    if (edges.length <= partSize) {
      for (const [id, edge] of edges) this.#needs.set(id, edge)
      return value
    }
    const wanted = new Map<string, Reference[]>(edges.map(([id]) => [id, []]))
    moveReferences(value, (reference) => {
      wanted.get(reference.job)?.push(reference)
      return reference
    })
    const moved = new Map<string, Reference>()
    for (const [onFailed, ids] of byPolicy(edges)) {
      for (const some of chunks(ids, partSize)) {
        const output = some.flatMap((id) => distinct(wanted.get(id) ?? []))
        const members = some.map((id) => this.#memberOf(id))
        const part = this.#part({ members, isTolerant: true, onFailed, isHanded: true, output })
        for (const [n, reference] of output.entries())
          moved.set(keyOf(reference), { job: part, name: reference.name, path: [String(n)] })
      }
    }
    return moveReferences(value, (reference) => moved.get(keyOf(reference)) ?? reference)
  }

  #memberOf(id: string): Member {
    return { id, name: this.#nameOf(id) }
  }

  /** Adds a part that the node needs, and returns its id. */
  #part({
    members,
    isTolerant,
    onFailed,
    isHanded,
    output,
  }: Edge & {
    readonly members: readonly Member[]
    readonly isTolerant: boolean
    readonly output?: readonly Reference[]
  }): string {
    const { name } = this.#node
    const id = followUpId(this.#run, 0, `part/${name}/${this.parts.length}`)
    const { workflow, queue } =
      this.#node.kind === 'end' ? this.#node : { workflow: name, queue: null }
    const needs = new Map(members.map((member) => [member.id, { onFailed, isHanded }]))
    const made = { kind: 'part', name, id, workflow, queue, members, isTolerant, needs } as const
    this.parts.push({ ...made, output: output?.map(written) })
    this.#needs.set(id, { onFailed, isHanded })
    return id
  }
}

function keyOf({ job, path }: Reference): string {
  return JSON.stringify([job, ...path])
}

function distinct(references: readonly Reference[]): readonly Reference[] {
  return [...new Map(references.map((reference) => [keyOf(reference), reference])).values()]
}

function byPolicy(
  edges: readonly (readonly [string, Edge])[],
): readonly (readonly [Edge['onFailed'], readonly string[]])[] {
  return (['cancel', 'run', 'fail'] as const).map((policy) => {
    const some = edges.filter(([, { onFailed }]) => onFailed === policy)
    return [policy, some.map(([id]) => id)] as const
  })
}

function* chunks<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < list.length; from += size) yield list.slice(from, from + size)
}

/** The nodes of one run of a workflow, as its builder adds them: names, needs, references, and nothing of jobs yet. */
import type { EndInput } from '../../app/workflow-end.ts'
import { ErrandError } from '../../core/errors.ts'
import { followUpId } from '../../core/id.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readChoice, readList } from '../../core/read.ts'
import { writeReferences } from '../../core/references.ts'
import { shownValue } from '../../core/shown.ts'
import type { AnyTask } from '../../core/task.ts'
import { isTask } from '../../core/task.ts'
import { checkName } from '../../core/text.ts'
import { referenceOf, refTo } from '../../core/node-output.ts'
import {
  isWorkflow,
  type AnyWorkflow,
  type Node,
  type NodeNeed,
  type NodeOptions,
  type OnNeedFailed,
  type WorkflowBuilder,
  type WorkflowOutput,
} from './workflow.ts'

/** The most nodes of one run. */
const mostNodes = 10_000

/** What a node needs of another. */
export interface Edge {
  readonly onFailed: OnNeedFailed
  /** Whether its input refers to the other's output. */
  readonly isHanded: boolean
}

/** A node whose job is one of a task. */
export interface TaskNode {
  readonly kind: 'task'
  readonly name: string
  readonly id: string
  readonly task: AnyTask | string
  /** With references in place. */
  readonly input: unknown
  readonly hasReferences: boolean
  readonly options: Omit<NodeOptions, 'needs' | 'onNeedFailed'>
  readonly needs: ReadonlyMap<string, Edge>
}

/** The end of a workflow: of the run, or of one within it. */
export interface EndNode {
  readonly kind: 'end'
  readonly name: string
  readonly id: string
  readonly workflow: string
  readonly queue: string | null
  /** The nodes that it ends, which it needs. */
  readonly members: readonly Member[]
  /** Ids of the parts that end its other members. */
  readonly parts?: readonly string[]
  /** Of a batch: its id and how many jobs end here. */
  readonly batch?: EndInput['batch']
  readonly needs: ReadonlyMap<string, Edge>
  /** With references in place; undefined for none. */
  readonly output: unknown
}

/** A part of an end, or of what a node needs: ends some of the nodes in its stead. */
export interface PartNode extends Omit<EndNode, 'kind'> {
  readonly kind: 'part'
  /** Whether it completes however they ended, for the needs say what their failure means. */
  readonly isTolerant: boolean
}

export interface Member {
  readonly name: string
  readonly id: string
}

export type GraphNode = TaskNode | EndNode
/** What jobs are made from. */
export type PlannedNode = GraphNode | PartNode

const onNeedFailed = ['cancel', 'run', 'fail'] as const

/** Builds a run's nodes, needed ones before those that need them, the end of the run last. */
export function buildGraph(
  workflow: AnyWorkflow,
  id: string,
  input: unknown,
): readonly GraphNode[] {
  const graph = new Graph(id)
  graph.build({ workflow, name: '', id, input, inherited: new Map() })
  return graph.nodes
}

interface Scope {
  readonly workflow: AnyWorkflow
  /** The name of its node; empty for the run itself. */
  readonly name: string
  readonly id: string
  readonly input: unknown
  /** What its nodes need that need nothing in it. */
  readonly inherited: ReadonlyMap<string, Edge>
}

class Graph {
  readonly id: string
  readonly nodes: GraphNode[] = []
  readonly #known = new Map<string, string>()

  constructor(id: string) {
    this.id = id
  }

  build(scope: Scope): void {
    const builder = new Builder(this, scope)
    const { name } = scope.workflow
    const built = scope.workflow.flow.build(builder, scope.input)
    if (built instanceof Promise) {
      built.catch(() => undefined)
      throw new ErrandError('invalid-option', `build of ${name} is async: add all nodes at once.`)
    }
    builder.end()
  }

  add(node: GraphNode): void {
    if (this.nodes.length > mostNodes) {
      throw new ErrandError(
        'invalid-option',
        `A workflow has at most ${mostNodes} nodes; of more jobs make several workflows.`,
      )
    }
    this.nodes.push(node)
    this.#known.set(node.id, node.name)
  }

  knows(id: string): boolean {
    return this.#known.has(id)
  }
}

class Builder implements WorkflowBuilder {
  readonly #graph: Graph
  readonly #scope: Scope
  readonly #members = new Map<string, string>()
  readonly #own = new Set<string>()
  #output: unknown
  #refers = new Set<string>()
  #hasEnded = false

  constructor(graph: Graph, scope: Scope) {
    this.#graph = graph
    this.#scope = scope
  }

  get id(): string {
    return this.#graph.id
  }

  add(
    name: string,
    work: AnyTask | AnyWorkflow | string,
    input?: unknown,
    options: NodeOptions = {},
  ): Node<never> {
    const where = `node ${shownValue(name)} of ${this.#scope.workflow.name}`
    this.#checkName(name, where)
    const { needs, onNeedFailed: given = 'cancel', ...rest } = options
    const onFailed = readChoice(given, onNeedFailed, `${where}.onNeedFailed`)
    const edges = this.#edgesOf(needs ?? [], onFailed, where)
    const path = this.#scope.name === '' ? name : `${this.#scope.name}/${name}`
    const id = followUpId(this.#graph.id, 0, `node/${path}`)
    this.#members.set(name, id)
    this.#own.add(id)
    if (isWorkflow(work)) {
      refuseUnknownKeys(rest, [], `${where}, which is a workflow,`)
      const inherited = this.#withInherited(edges)
      this.#graph.build({ workflow: work, name: path, id, input, inherited })
    } else {
      if (typeof work !== 'string' && !isTask(work))
        throw new ErrandError('invalid-task', `${where} needs a task or a workflow.`)
      const { value, jobs } = writeReferences(input, referenceOf)
      for (const job of jobs) {
        this.#checkKnown(job, where)
        edges.set(job, { onFailed: edges.get(job)?.onFailed ?? onFailed, isHanded: true })
      }
      this.#graph.add({
        kind: 'task',
        name: path,
        id,
        task: work,
        input: value,
        hasReferences: jobs.size > 0,
        options: rest,
        needs: this.#withInherited(edges),
      })
    }
    return { name, id, output: refTo({ job: id, name: path, path: [] }) as never }
  }

  output<Value>(value: Value): WorkflowOutput<never> {
    const { value: written, jobs } = writeReferences(value, referenceOf)
    for (const job of jobs) this.#checkKnown(job, `the output of ${this.#scope.workflow.name}`)
    this.#output = written
    this.#refers = new Set(jobs)
    return {} as WorkflowOutput<never>
  }

  end(): void {
    this.#hasEnded = true
    const { workflow, name, id } = this.#scope
    const needs = new Map<string, Edge>(this.#scope.inherited)
    if (this.#members.size > 0) needs.clear()
    for (const job of [...this.#members.values(), ...this.#refers])
      needs.set(job, { onFailed: 'run', isHanded: this.#refers.has(job) })
    const members = [...this.#members].map(([member, job]) => ({ name: member, id: job }))
    const { queue } = workflow.flow
    const end = { kind: 'end', name, id, workflow: workflow.name, queue, members, needs } as const
    this.#graph.add({ ...end, output: this.#output })
  }

  #checkName(name: string, where: string): void {
    checkName(name, where)
    if (this.#hasEnded)
      throw new ErrandError('invalid-option', `${where} was added after build had returned.`)
    if (name.includes('/'))
      throw new ErrandError('invalid-option', `${where} has a / in its name: leave it out.`)
    if (this.#members.has(name))
      throw new ErrandError('invalid-option', `${where} stands there twice: names are unique.`)
  }

  #edgesOf(needs: readonly NodeNeed[], onFailed: OnNeedFailed, where: string): Map<string, Edge> {
    const edges = new Map<string, Edge>()
    for (const need of readList(needs, `${where}.needs`, 'nodes')) {
      const edge = 'node' in need ? need : { node: need, onFailed }
      const { id } = edge.node
      this.#checkKnown(id, where)
      const how = readChoice(edge.onFailed, onNeedFailed, `${where}.needs: onFailed`)
      edges.set(id, { onFailed: how, isHanded: false })
    }
    return edges
  }

  /** Needs can only be nodes that were added before, so that no cycle can be written. */
  #checkKnown(id: string, where: string): void {
    if (this.#graph.knows(id)) return
    throw new ErrandError(
      'invalid-option',
      `${where} needs a node that is not of this run, or is added later.`,
    )
  }

  /** A node that needs nothing of its own workflow waits for what that waits for. */
  #withInherited(edges: ReadonlyMap<string, Edge>): ReadonlyMap<string, Edge> {
    if ([...edges.keys()].some((id) => this.#own.has(id))) return edges
    return new Map([...this.#scope.inherited, ...edges])
  }
}

/** Workflows as users define them: a name, an input, and a function that adds the nodes. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readFunction, readQueueName } from '../../core/read.ts'
import type { AnyTask, InputOf, OutputOf } from '../../core/task.ts'
import { checkName } from '../../core/text.ts'
import type { Given, Ref, Resolved } from '../../core/node-output.ts'

declare const output: unique symbol

/** What a node that did not complete means for one that needs it: it is cancelled, it runs, or it fails. */
export type OnNeedFailed = 'cancel' | 'run' | 'fail'

/** A node that was added. */
export interface Node<Output = unknown> {
  readonly name: string
  /** The id of its job. */
  readonly id: string
  /** Stands for what it will come to: give it, or a field of it, as input of later nodes. Who uses it needs the node. */
  readonly output: Ref<Output>
}

/** A need without data, with what its failure means if that is not what it means for the others. */
export type NodeNeed = Node | { readonly node: Node; readonly onFailed: OnNeedFailed }

/** Options of one node. */
export interface NodeOptions extends Omit<EnqueueOptions, 'tx' | 'inline' | 'group'> {
  /** Nodes that must have ended before, beside those that the input refers to. */
  readonly needs?: readonly NodeNeed[]
  /** Default `'cancel'`. */
  readonly onNeedFailed?: OnNeedFailed
}

/** What a workflow comes to, as `output` of its builder returns it. */
export interface WorkflowOutput<Output> {
  readonly [output]: Output
}

/** Adds nodes to a workflow that is being started. */
export interface WorkflowBuilder {
  /** The id of the run. */
  readonly id: string
  /** Adds a job of a task. Names are unique in a workflow. */
  add<T extends AnyTask>(name: string, task: T, ...rest: NodeRest<InputOf<T>>): Node<OutputOf<T>>
  /** Adds another workflow, which ends when all of its nodes have. */
  add<Input, Output>(
    name: string,
    workflow: Workflow<Input, Output>,
    ...rest: NodeRest<Input, Pick<NodeOptions, 'needs' | 'onNeedFailed'>>
  ): Node<Output>
  /** Says what the workflow comes to. Return what it returns, so that the compiler knows. */
  output<Value>(value: Value): WorkflowOutput<Resolved<Value>>
}

type NodeRest<Input, Options = NodeOptions> = undefined extends Input
  ? [input?: Given<Input>, options?: Options]
  : [input: Given<Input>, options?: Options]

/** A workflow that takes `Input` and comes to `Output`. */
export interface Workflow<Input = unknown, Output = unknown> {
  readonly name: string
  readonly flow: FlowDefinition
  /** Only for the compiler. */
  readonly types?: { readonly input: (input: Input) => void; readonly output: Output }
}

/** Any workflow at all. */
// oxlint-disable-next-line typescript/no-explicit-any -- the one type that every workflow fits
export type AnyWorkflow = Workflow<any, any>

/** A workflow as the parts of Errand see it. */
interface FlowDefinition {
  readonly input: StandardSchemaV1 | null
  readonly queue: string | null
  readonly build: (w: WorkflowBuilder, input: unknown) => unknown
}

type Built<Output> = WorkflowOutput<Output> | void

const keys = ['name', 'input', 'queue', 'build'] as const

/**
 * Defines a workflow. `build` is called once for each run, where it is started: it adds the nodes, whose
 * jobs are then stored in one step. Throws `invalid-option`.
 *
 * @example
 * const etl = workflow({
 *   name: 'etl',
 *   build(w, { source }: { source: string }) {
 *     const rows = w.add('extract', extract, { source })
 *     const sums = w.add('transform', transform, { rows: rows.output.rows })
 *     return w.output(w.add('load', load, { sums: sums.output }).output)
 *   },
 * })
 */
export function workflow<Schema extends StandardSchemaV1, Output = null>(definition: {
  readonly name: string
  readonly input: Schema
  /** The queue of the job that ends it. Default: that of its first node. */
  readonly queue?: string
  readonly build: (w: WorkflowBuilder, input: StandardSchemaV1.InferOutput<Schema>) => Built<Output>
}): Workflow<StandardSchemaV1.InferInput<Schema>, Output>
export function workflow<Input = undefined, Output = null>(definition: {
  readonly name: string
  readonly input?: undefined
  readonly queue?: string
  readonly build: (w: WorkflowBuilder, input: Input) => Built<Output>
}): Workflow<Input, Output>
export function workflow(definition: {
  readonly name: string
  readonly input?: StandardSchemaV1 | undefined
  readonly queue?: string
  readonly build: (w: WorkflowBuilder, input: never) => unknown
}): AnyWorkflow {
  refuseUnknownKeys(definition, keys, 'workflow()')
  const { name, input, queue, build } = definition
  checkName(name, 'workflow().name')
  const where = `workflow ${name}`
  if (input !== undefined && typeof input?.['~standard']?.validate !== 'function')
    throw new ErrandError('invalid-option', `${where}.input must be a Standard Schema.`)
  return {
    name,
    flow: {
      input: input ?? null,
      queue: queue === undefined ? null : readQueueName(queue, `${where}.queue`),
      build: readFunction(build, `${where}.build`) as FlowDefinition['build'],
    },
  }
}

/** Tells whether a value came from `workflow()`. */
export function isWorkflow(value: unknown): value is AnyWorkflow {
  return typeof value === 'object' && value !== null && 'flow' in value && 'name' in value
}

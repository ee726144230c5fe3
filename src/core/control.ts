/**
 * Orders of operators to workers, as they lie in one record of the store, and what they mean for one
 * worker. The pause of a queue is none of them: the store has it by itself.
 */

/** What a worker can be told. */
export const controlVerbs = ['pause', 'drain', 'stop', 'restart'] as const
export type ControlVerb = (typeof controlVerbs)[number]

/** Whom an order concerns, beside all workers. */
const targetKinds = ['all', 'group', 'worker', 'task'] as const

/** One order. Those of one target and kind replace each other. */
export interface Order {
  /** Made anew with each order, so that the same restart is not obeyed twice. */
  readonly id: string
  readonly verb: ControlVerb
  readonly kind: (typeof targetKinds)[number]
  /** Of the group, the worker or the task; empty for all workers. */
  readonly name: string
  /** By the clock of who gave it, in milliseconds: for people. */
  readonly at: number
  readonly by: string | null
  readonly note: string | null
}

/** The key of the record that holds all orders. */
export const controlKey = 'control'

/** What the names of locks begin with under which workers restart one after another. */
export const restartLocks = 'errand:restart:'

/** How the record is written. A worker that meets another form keeps what it knew. */
const form = 1

export function writeOrders(orders: readonly Order[]): string | null {
  return orders.length === 0 ? null : JSON.stringify({ form, orders })
}

/** The orders of a record; null for one of another form. */
export function readOrders(text: string | null): readonly Order[] | null {
  if (text === null) return []
  try {
    const said = JSON.parse(text) as { readonly form?: unknown; readonly orders?: unknown } | null
    if (said?.form !== form || !Array.isArray(said.orders)) return null
    const orders = said.orders as readonly unknown[]
    return orders.every(isOrder) ? orders : null
  } catch {
    return null
  }
}

function isOrder(value: unknown): value is Order {
  const order = value as Partial<Record<keyof Order, unknown>> | null
  return (
    typeof order === 'object' &&
    order !== null &&
    typeof order.id === 'string' &&
    typeof order.name === 'string' &&
    typeof order.at === 'number' &&
    controlVerbs.some((verb) => verb === order.verb) &&
    targetKinds.some((kind) => kind === order.kind)
  )
}

/** The same record without who gave an order and why, for those who may not know. */
export function withoutWords(text: string | null): string | null {
  const orders = readOrders(text)
  if (orders === null) return text
  return writeOrders(orders.map((order) => ({ ...order, by: null, note: null })))
}

/** Whether two orders concern the same, so that the later one replaces the earlier. */
export function isSameTarget(one: Pick<Order, 'kind' | 'name'>, other: Order): boolean {
  return one.kind === other.kind && one.name === other.name
}

/** What is in force for one worker. */
export interface Standing {
  /** The order that keeps it from claiming, and the strongest of several: stop, drain or pause. */
  readonly held: Order | null
  /** Names of tasks that it must not start. */
  readonly tasks: ReadonlySet<string>
  readonly restarts: readonly Order[]
}

const strengths: Readonly<Record<Exclude<ControlVerb, 'restart'>, number>> = {
  pause: 1,
  drain: 2,
  stop: 3,
}

/** What orders mean for a worker. */
export function standingOf(
  orders: readonly Order[],
  worker: { readonly id: string; readonly group: string | null },
): Standing {
  let held: Order | null = null
  const tasks = new Set<string>()
  const restarts: Order[] = []
  for (const order of orders) {
    if (order.kind === 'task') tasks.add(order.name)
    else if (concerns(order, worker)) {
      if (order.verb === 'restart') restarts.push(order)
      else if (strengthOf(order) > strengthOf(held)) held = order
    }
  }
  return { held, tasks, restarts }
}

/** Whether an order concerns a worker. */
export function concerns(
  { kind, name }: Pick<Order, 'kind' | 'name'>,
  worker: { readonly id: string; readonly group: string | null },
): boolean {
  switch (kind) {
    case 'all':
      return true
    case 'group':
      return worker.group === name
    case 'worker':
      return worker.id === name
    case 'task':
      return false
  }
}

function strengthOf(order: Order | null): number {
  return order === null || order.verb === 'restart' ? 0 : strengths[order.verb]
}

/** The operators' orders to workers: stored, so that workers which start later obey, too. */
import { hostname } from 'node:os'
import { v7 as uuidv7 } from 'uuid'
import {
  controlKey,
  isSameTarget,
  readOrders,
  writeOrders,
  type ControlVerb,
  type Order,
} from '../core/control.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readText } from '../core/read.ts'
import { shownValue } from '../core/shown.ts'
import { checkName, cleanText } from '../core/text.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Store } from '../store/store.ts'
import type { Client } from './client.ts'
import type { Queues } from './queues.ts'

/** Some workers, or all. */
export type WorkerTarget =
  | { readonly group: string }
  | { readonly worker: string }
  | { readonly all: true }

/** What can be kept from being claimed: jobs of a queue, of a task, or whatever workers claim. */
export type ControlTarget = WorkerTarget | { readonly queue: string } | { readonly task: string }

export interface ControlOptions {
  /** Why, for people; at most 500 characters. */
  readonly note?: string
  /** Who; default: this host and process. At most 200 characters. */
  readonly by?: string
}

/** An order that is in force. */
export interface ControlOrder {
  readonly verb: ControlVerb
  readonly target: ControlTarget
  /** When, by the clock of who gave it; null for a queue, of which the store keeps no more. */
  readonly at: Date | null
  readonly by: string | null
  readonly note: string | null
}

/**
 * Orders hold until `resume`, also for workers that start later; running ones obey within about two seconds. All reject with
 * `invalid-option`, with `too-large` when 100 are in force already, and with `store-too-new` for orders of a newer Errand.
 */
export interface Control {
  /** Nothing more of it is claimed; what runs goes on. */
  pause(target: ControlTarget, options?: ControlOptions): Promise<void>
  /** Ends the pause, drain, stop or restart of exactly this target. */
  resume(target: ControlTarget): Promise<void>
  /** Workers claim nothing more, and stop once none of their jobs runs, however long that takes. */
  drain(target: WorkerTarget, options?: ControlOptions): Promise<void>
  /** Workers stop, as by SIGTERM, and are not started again. */
  stop(target: WorkerTarget, options?: ControlOptions): Promise<void>
  /** Workers that run now stop, one after another, to be started again. */
  restart(target: WorkerTarget, options?: ControlOptions): Promise<void>
  /** What is in force: paused queues first, then the oldest order. */
  list(): Promise<readonly ControlOrder[]>
}

const bounds = { orders: 100, note: 500, by: 200, restartMs: 86_400_000 } as const

/** Somebody else may change the record between the look at it and the change: then again. */
const mostTries = 20

/** Of several fields exactly one is given. */
const targetFields = ['queue', 'task', 'worker', 'group', 'all'] as const
type Kind = (typeof targetFields)[number]

interface Target {
  readonly kind: Kind
  readonly name: string
}

/** Makes `errand.control`. */
export function createControl(client: Client, queues: Queues): Control {
  const give = async (
    verb: Exclude<ControlVerb, 'pause'>,
    given: WorkerTarget,
    options: ControlOptions = {},
  ): Promise<void> => {
    const where = `control.${verb}()`
    const target = readTarget(given, where)
    if (target.kind === 'queue' || target.kind === 'task')
      throw new ErrandError(
        'invalid-option',
        `${where} is for workers: a group, a worker or all. A ${target.kind} has no process to ${verb}; pause it.`,
      )
    await client.call((store) => put(store, verb, target, readWords(options, where)))
  }

  return {
    async pause(given, options = {}) {
      const target = readTarget(given, 'control.pause()')
      const words = readWords(options, 'control.pause()')
      if (target.kind === 'queue') return queues.pause(target.name)
      await client.call((store) => put(store, 'pause', target, words))
    },

    async resume(given) {
      const target = readTarget(given, 'control.resume()')
      if (target.kind === 'queue') return queues.resume(target.name)
      await client.call((store) =>
        change(store, (orders) => orders.filter((order) => !isSameTarget(asKey(target), order))),
      )
    },

    drain: (target, options) => give('drain', target, options),
    stop: (target, options) => give('stop', target, options),
    restart: (target, options) => give('restart', target, options),

    async list() {
      const [entries, [text = null]] = await client.call((store) =>
        Promise.all([store.queues(), store.getRecords([controlKey])]),
      )
      const paused = entries.filter((entry) => entry.paused)
      return [
        ...paused.map(({ name }) => shownPause(name)),
        ...ordersOf(text).map((order) => shownOrder(order)),
      ]
    },
  }
}

function shownPause(queue: string): ControlOrder {
  return { verb: 'pause', target: { queue }, at: null, by: null, note: null }
}

function shownOrder({ verb, kind, name, at, by, note }: Order): ControlOrder {
  const target = kind === 'all' ? { all: true as const } : { [kind]: name }
  return { verb, target: target as ControlTarget, at: new Date(at), by, note }
}

function readTarget(given: ControlTarget, where: string): Target {
  refuseUnknownKeys(given, targetFields, where)
  const fields = given as Partial<Record<Kind, unknown>>
  const named = targetFields.filter((field) => fields[field] !== undefined)
  const [kind] = named
  if (kind === undefined || named.length > 1)
    throw new ErrandError(
      'invalid-option',
      `${where} needs one of queue, task, worker, group or all: true${kind === undefined ? '' : `, not ${named.join(' and ')}`}.`,
    )
  const name = fields[kind]
  if (kind === 'all') {
    if (name === true) return { kind, name: '' }
    throw new ErrandError('invalid-option', `${where}.all is true, not ${shownValue(name)}.`)
  }
  checkName(name, `${where}.${kind}`)
  return { kind, name }
}

function readWords(options: ControlOptions, where: string): Pick<Order, 'by' | 'note'> {
  refuseUnknownKeys(options, ['note', 'by'], where)
  const { note, by = `${hostname()}:${process.pid}` } = options
  return {
    by: bounded(by, bounds.by, `${where}.by`),
    note: note === undefined ? null : bounded(note, bounds.note, `${where}.note`),
  }
}

function bounded(value: unknown, most: number, where: string): string {
  const text = cleanText(readText(value, where))
  if (text.length <= most) return text
  throw new ErrandError('invalid-option', `${where} has at most ${most} characters.`)
}

function asKey({ kind, name }: Target): Pick<Order, 'kind' | 'name'> {
  return { kind: kind as Order['kind'], name }
}

/** Adds an order. A restart stands beside what keeps workers from claiming, and replaces only another restart. */
async function put(
  store: Store,
  verb: ControlVerb,
  target: Target,
  words: Pick<Order, 'by' | 'note'>,
): Promise<void> {
  const key = asKey(target)
  const living = await livingWorkers(store)
  if (target.kind === 'worker' && !living.has(target.name))
    throw new ErrandError(
      'invalid-option',
      `No worker ${shownValue(target.name)} runs; errand workers lists those that do.`,
    )
  const now = store.clock.now()
  const order: Order = { id: uuidv7(), verb, ...key, at: now, ...words }
  const isReplaced = (other: Order): boolean =>
    isSameTarget(key, other) && (other.verb === 'restart') === (verb === 'restart')
  await change(store, (orders) => [
    ...orders.filter((other) => !isReplaced(other) && !isOver(other, living, now)),
    order,
  ])
}

/** Whether an order concerns nobody any more: its worker has gone, or a restart was given a day ago. */
function isOver(order: Order, living: ReadonlySet<string>, now: number): boolean {
  if (order.kind === 'worker' && !living.has(order.name)) return true
  return order.verb === 'restart' && now - order.at > bounds.restartMs
}

async function livingWorkers(store: Store): Promise<ReadonlySet<string>> {
  const workers = await answered(store.clock, store.workers())
  return new Set(workers.filter(({ stopped }) => !stopped).map(({ id }) => id))
}

async function change(
  store: Store,
  made: (orders: readonly Order[]) => readonly Order[],
): Promise<void> {
  for (let tries = 0; tries < mostTries; tries++) {
    const [text = null] = await answered(store.clock, store.getRecords([controlKey]))
    const orders = made(ordersOf(text))
    if (orders.length > bounds.orders)
      throw new ErrandError(
        'too-large',
        `${bounds.orders} orders are in force already: resume what is no longer needed.`,
      )
    const next = writeOrders(orders)
    if (next === text) return
    const write = { key: controlKey, text: next, if: text }
    const [answer] = await answered(store.clock, store.putRecords([write]))
    if (answer === 'put') return
  }
  throw new ErrandError('store-busy', 'The orders to workers are changed by others all the time.')
}

function ordersOf(text: string | null): readonly Order[] {
  const orders = readOrders(text)
  if (orders !== null) return orders
  throw new ErrandError(
    'store-too-new',
    'The orders to workers were written by another version of Errand: use that one.',
  )
}

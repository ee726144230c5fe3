/** The calls of a store, for workers anywhere: `POST /v1/store/{call}` with the arguments as a list. */
import { controlKey } from '../../core/control.ts'
import type { LogLine } from '../../core/job.ts'
import type { NewJob, StoredJob } from '../../store/job.ts'
import type { InsertOptions } from '../../store/intake.ts'
import { calls, type CallName, type Repeat } from '../../store/calls.ts'
import { protocol } from '../../store/protocol.ts'
import type { ListQuery, Page, Search } from '../../store/readers.ts'
import type { RecordWrite } from '../../store/records.ts'
import type { Store } from '../../store/store.ts'
import type { ClaimRequest, Claimed } from '../../store/worker-calls.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Caller } from '../caller.ts'
import { Problem } from '../problem.ts'
import type { Redaction } from '../redaction.ts'
import type { Answer, Route, RouteCall } from '../route.ts'
import { onlyEnqueues, scopesOf } from '../store/access.ts'
import { argumentsOf } from '../store/arguments.ts'
import { CallLog } from '../store/call-log.ts'
import { eventStream } from '../store/event-stream.ts'
import { giveBack } from '../store/give-back.ts'
import { hubOf } from '../store/hint-hub.ts'
import { shapes } from '../store/shapes.ts'
import { checkStrangers } from '../store/strangers.ts'
import { callWithin } from '../store/within-queues.ts'
import { textResponse } from '../text-response.ts'

/** The most bytes of a call: a batch of 16 million characters, each as long as JSON makes it at the worst of ordinary texts. */
const mostCallBytes = 67_108_864

const answered: Readonly<Record<number, Answer>> = {
  200: {
    description: 'What the store answered.',
    schema: { type: 'object', required: ['answer'], properties: { answer: {} } },
  },
}

/** The only scope that a caller needs who may see what the manager stands before. */
const anyScope = ['work', 'read', 'enqueue', 'operate'] as const

export const storeRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/store/info',
    id: 'store.info',
    summary: 'What the manager stores its jobs in, and what it promises.',
    tag: 'store',
    scopes: anyScope,
    body: { type: 'array', maxItems: 0 },
    refuse: checkProtocol,
    answers: answered,
    async handle(call) {
      return answer(await logged('info', 'reads', call, () => info(call.errand.store)))
    },
  },
  {
    method: 'POST',
    path: '/v1/store/warnings',
    id: 'store.warnings',
    summary: 'What puts jobs at risk, as the store says.',
    tag: 'store',
    scopes: ['work', 'read', 'operate'],
    body: { type: 'array', prefixItems: [{ enum: ['ask', 'try'] }], minItems: 1, maxItems: 1 },
    refuse: checkProtocol,
    answers: answered,
    async handle(call) {
      const { store } = call.errand
      const [how] = call.body as ['ask' | 'try']
      const warnings = async (): Promise<string> => answerText(await store.warnings(how))
      return answer(await logged(`warnings ${how}`, 'reads', call, warnings))
    },
  },
  {
    method: 'GET',
    path: '/v1/store/watch',
    id: 'store.watch',
    summary: 'Hear of what may have happened, as server-sent events.',
    tag: 'store',
    scopes: ['work', 'read', 'operate', 'enqueue'],
    answers: {
      200: {
        description: 'One event for each hint: work, cancel, paused, finished, lock, record.',
      },
    },
    refuse: checkProtocol,
    handle({ errand, signal }) {
      return eventStream(hubOf(errand.store), signal)
    },
  },
  ...Object.keys(calls).map((name) => routeOf(name as CallName)),
]

function routeOf(name: CallName): Route {
  return {
    method: 'POST',
    path: `/v1/store/${name}`,
    id: `store.${name}`,
    summary: `The call ${name} of a store.`,
    tag: 'store',
    scopes: scopesOf(name),
    body: shapes[name],
    refuse: checkProtocol,
    maxBody: mostCallBytes,
    answers: answered,
    async handle(call) {
      const args = argumentsOf(name, call.body)
      // A claim is known to the store by an id of its own.
      const repeat = name === 'claim' ? 'overwrites' : calls[name].repeat
      return answer(await logged(name, repeat, call, () => make(name, args, call)))
    },
  }
}

/** Makes the call; resolves with its answer as text. */
async function make(name: CallName, args: readonly unknown[], call: RouteCall): Promise<string> {
  const { errand, caller } = call
  const { store } = errand
  // Listened to from before the call: who goes away in the middle of it is not heard of later.
  const gone = name === 'claim' && (args[0] as ClaimRequest).id === null ? call.signal : null
  checkControl(name, args, caller)
  if (name === 'insert' && onlyEnqueues(caller))
    await checkStrangers(store, args[0] as NewJob[], args[1] as InsertOptions | undefined)
  const redaction = caller.scopes.has('work') ? undefined : errand.redaction
  if (name === 'list') refuseHidden(redaction, (args[0] as ListQuery).search)
  const value: unknown = await (caller.queues === null
    ? straight(store, name, args)
    : callWithin(store, name, args, caller.queues))
  // A claim with an id is repeated by its caller.
  if (gone?.aborted === true) await giveBack(store, (value as Claimed).jobs)
  if (redaction === undefined) return answerText(value)
  const [job] = name === 'logs' ? await store.get([args[0] as string]) : [null]
  return answerText(redacted(name, value, redaction, job ?? null))
}

function refuseHidden(redaction: Redaction | undefined, search: Search | undefined): void {
  if (search !== undefined) redaction?.refusePath(search.in, search.path)
}

/** What a call answers to those who only look: jobs without what is hidden. */
function redacted(
  name: CallName,
  value: unknown,
  redaction: Redaction,
  logged: StoredJob | null,
): unknown {
  const job = (one: StoredJob | null): StoredJob | null => one && redaction.stored(one)
  if (name === 'get' || name === 'take') return (value as readonly (StoredJob | null)[]).map(job)
  if (name === 'logs') return redaction.lines(logged, value as readonly LogLine[])
  if (name !== 'list') return value
  const page = value as Page
  return { ...page, jobs: page.jobs.map(job) }
}

/** Who may not operate writes no orders to workers, not as a record either. */
function checkControl(name: CallName, args: readonly unknown[], { scopes }: Caller): void {
  if (scopes.has('operate')) return
  const written =
    name === 'putRecords'
      ? (args[0] as readonly RecordWrite[])
      : name === 'insert'
        ? ((args[1] as InsertOptions | undefined)?.advance ?? [])
        : []
  if (written.some(({ key }) => key === controlKey))
    throw new Problem('forbidden', 'Orders to workers are given with the scope operate.')
}

function straight(store: Store, name: CallName, args: readonly unknown[]): unknown {
  return (store[name] as (...given: unknown[]) => unknown)(...args)
}

async function info(store: Store): Promise<string> {
  await store.setup()
  const { kind, durability, serial, stepWeight } = store.info
  return answerText({ kind, durability, serial, stepWeight, protocol })
}

const logs = new WeakMap<Store, CallLog>()

/** A try that comes again waits for the first, or gets its answer where the call may not be made twice. */
async function logged(
  name: string,
  repeat: Repeat,
  { errand: { store }, caller, request }: RouteCall,
  call: () => Promise<string>,
): Promise<string> {
  const id = request.headers.get('errand-call')
  if (id === null || id.length > 100) return call()
  let log = logs.get(store)
  if (log === undefined) logs.set(store, (log = new CallLog()))
  const key = `${caller.token ?? ''} ${name} ${id}`
  const isRepeat = request.headers.get('errand-repeat') !== null
  const earlier = isRepeat ? log.find(key) : undefined
  if (earlier !== undefined) return earlier
  if (isRepeat && repeat === 'adds') {
    throw new Problem(
      'unknown-outcome',
      `This manager has not seen the first try of ${name}, so it is not known whether that was carried out.`,
    )
  }
  return log.make(key, call, repeat === 'same' || repeat === 'adds')
}

function answerText(value: unknown): string {
  return JSON.stringify({ answer: value ?? null })
}

function answer(text: string): Response {
  return textResponse(text, 200, { 'content-type': 'application/json' })
}

/** Refuses a client that is too old or too new; one that does not say is taken for the present. */
function checkProtocol(request: ApiRequest): void {
  const said = request.headers.get('errand-protocol')
  if (said === null) return
  const version = Number(said)
  if (version >= protocol.oldest && version <= protocol.current) return
  const which = version < protocol.oldest ? 'the client' : 'the manager'
  throw new Problem(
    'protocol-mismatch',
    `This manager speaks the versions ${protocol.oldest} to ${protocol.current} of the protocol of stores, and the client ${JSON.stringify(said.slice(0, 20))}: update ${which}.`,
    { status: 426, headers: { upgrade: `errand/${protocol.current}`, connection: 'upgrade' } },
  )
}

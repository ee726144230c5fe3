/**
 * What every request passes on its way in and every answer on its way out: the bound on requests at
 * once, the stop, the headers that all answers carry, the log.
 */
import type { Readable } from 'node:stream'
import type { HasHub, hub } from '../observe/hub-of.ts'
import type { Ticks } from '../loops/time.ts'
import type { Peer } from './access/local.ts'
import type { ApiRequest } from './api-request.ts'
import type { Handle } from './handler.ts'
import type { OpenCalls } from './open-calls.ts'
import type { Passage } from './passage.ts'
import { Problem, problemOf, problemResponse } from './problem.ts'
import { addFields, isText } from './text-response.ts'

/** On every answer: it is data for its reader alone, and no page. */
const safeHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

const lastOfConnection = { connection: 'close' } as const

/** Seconds that clients wait for the next manager: spread, so that they do not come all at once. */
const retrySeconds = { least: 1, most: 5 } as const

export interface DoorOptions {
  readonly handle: Handle
  readonly open: OpenCalls
  /** The most requests at once. */
  readonly mostOpen: number
  readonly basePath: string
  readonly events: HasHub[typeof hub]
  readonly ticks: Ticks
}

/** Answers a request. Never rejects. */
export type Door = (
  request: ApiRequest,
  peer: Peer | null,
  incoming: Readable | null,
) => Promise<Response>

export function createDoor(options: DoorOptions): Door {
  const { handle, open, mostOpen, basePath, events, ticks } = options
  return async (request, peer, incoming) => {
    const begunAt = ticks()
    const passage: Passage = { peer, incoming, route: null, caller: null, rate: null, call: null }
    open.begin()
    let response: Response
    try {
      response = refused(open, mostOpen) ?? (await handle(request, passage).catch(problemOfFailure))
      addHeaders(response, passage, basePath)
      if (open.isStopping) addFields(response, lastOfConnection)
    } catch (error) {
      response = problemOfFailure(error)
    }
    const { status } = response
    const ended = (): void => {
      passage.call?.end()
      open.end()
      tell(events, request.method, status, ticks() - begunAt, passage)
    }
    if (isStream(response, passage)) return followed(response, ended)
    ended()
    return response
  }
}

function tell(
  events: DoorOptions['events'],
  method: string,
  status: number,
  durationMs: number,
  { route, caller }: Passage,
): void {
  if (!events.has('request-ended')) return
  events.emit('request-ended', {
    method,
    route: route?.path ?? null,
    status,
    durationMs,
    token: caller?.token ?? null,
    isProbe: route?.scopes.length === 0,
  })
}

function problemOfFailure(error: unknown): Response {
  return problemResponse(problemOf(error))
}

function refused(open: OpenCalls, mostOpen: number): Response | null {
  if (open.isStopping) {
    const { least, most } = retrySeconds
    const after = least + Math.floor(Math.random() * (most - least + 1))
    const headers = { 'retry-after': String(after) }
    return problemResponse(new Problem('closed', 'The manager stops; try again soon.', { headers }))
  }
  if (open.count <= mostOpen) return null
  return problemResponse(new Problem('overloaded', 'Too many requests at once; try again soon.'))
}

function addHeaders(response: Response, { rate }: Passage, basePath: string): void {
  addFields(response, safeHeaders)
  if (rate !== null) addFields(response, rate.headers)
  if (basePath === '') return
  const location = response.headers.get('location')
  if (location?.startsWith('/') === true) response.headers.set('location', basePath + location)
}

/** Whether an answer comes bit by bit: routes that do so ask for the signal of their call. */
function isStream(response: Response, { call }: Passage): boolean {
  if (call?.isFollowed !== true || isText(response)) return false
  return response.headers.get('content-type')?.startsWith('text/') === true
}

/** The same answer, whose end is reported once. */
function followed({ body, status, headers }: Response, ended: () => void): Response {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = body?.getReader()
  let isOver = false
  const over = (): void => {
    if (!isOver) ended()
    isOver = true
  }
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const read = await reader?.read()
        if (read?.value !== undefined) return controller.enqueue(read.value)
        controller.close()
      } catch (error) {
        controller.error(error)
      }
      over()
    },
    async cancel(reason) {
      over()
      await reader?.cancel(reason)
    },
  })
  return new Response(stream, { status, headers })
}

/** Sends requests made of the document, one after the other, and judges each answer. */
import * as fc from 'fast-check'
import type { Store } from '../../src/store/store.ts'
import { openGround, type Ground } from './ground.ts'
import { Judge } from './judge.ts'
import { requestsOf, type Draft, type OpenApi } from './requests.ts'

export interface FuzzReport {
  readonly requests: number
  /** How often each status came. */
  readonly statuses: ReadonlyMap<number, number>
  /** How often each operation of the document was answered well. */
  readonly answered: ReadonlyMap<string, number>
  /** Those of them that never were. */
  readonly never: readonly string[]
}

const plantEvery = 250

/** Rejects with the request that was answered wrong, and with the seed. */
export async function fuzz(
  store: Store,
  { requests, seed }: { readonly requests: number; readonly seed: number },
): Promise<FuzzReport> {
  await using ground = await openGround(store)
  await ground.plant()
  const document = await readDocument(ground)
  const judge = new Judge(document)
  const statuses = new Map<number, number>()
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const answered = new Map(operations.map((one) => [one, 0]))
  let sent = 0
  const drafts = requestsOf(document, {
    callers: [...ground.callers.keys()],
    values: ground.known,
    lease: ground.lease,
  })
  const property = fc.asyncProperty(drafts, async (draft) => {
    if (++sent % plantEvery === 0) {
      await judge.stored(ground)
      await ground.plant()
    }
    const answer = await sendOne(ground, draft)
    count(statuses, answer.status)
    if (answer.status < 400 && draft.template !== null)
      count(answered, `${draft.method} ${draft.template}`)
    judge.answer(draft, answer, ground)
  })
  await fc.assert(property, {
    numRuns: requests,
    seed,
    endOnFailure: false,
    interruptAfterTimeLimit: 600_000,
    markInterruptAsFailure: true,
  })
  await judge.stored(ground)
  const never = operations.filter((one) => answered.get(one) === 0)
  return { requests: sent, statuses, answered, never }
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

async function readDocument(ground: Ground): Promise<OpenApi> {
  const request = new Request('http://127.0.0.1/openapi.json')
  return (await (await ground.send({ who: 'all', request })).json()) as OpenApi
}

async function sendOne(
  ground: Ground,
  { method, path, query, headers, body, who }: Draft,
): Promise<{ readonly status: number; readonly type: string; readonly text: string }> {
  const search = query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&')
  const url = `http://127.0.0.1${path}${search === '' ? '' : `?${search}`}`
  const mayHaveBody = method !== 'GET' && method !== 'HEAD' && body !== null
  const request = new Request(url, {
    method,
    headers,
    ...(mayHaveBody ? { body: body as string } : {}),
  })
  const response = await ground.send({ who, request })
  const type = response.headers.get('content-type') ?? ''
  if (type.startsWith('text/event-stream')) {
    await response.body?.cancel()
    return { status: response.status, type, text: '' }
  }
  return { status: response.status, type, text: await response.text() }
}

function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

/** Calls of the HTTP API, beside which the page lies. */
import { parseJson, Digits } from './json.ts'

const root = new URL('.', location.href)

/** What the API answered instead of what was asked for. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** Whether the manager or its store is away, so that the same call may succeed later. */
export function isAway(error: unknown): boolean {
  return error instanceof Problem && (error.status === 0 || error.status >= 500)
}

/** How long to wait after so many failures in a row. */
export function backOffMs(failures: number): number {
  return Math.min(10_000, 1_000 * 2 ** Math.min(failures, 10))
}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>

interface CallOptions {
  readonly query?: Query
  readonly body?: unknown
  readonly signal?: AbortSignal
}

/** How long an answer may take before the page says so; the slowest calls work for 20 s. */
const withinMs = 40_000

/** Makes one call. Rejects with a `Problem`, also when the manager cannot be reached. */
export async function call<T>(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  { query = {}, body, signal }: CallOptions = {},
): Promise<T> {
  const limit = AbortSignal.timeout(withinMs)
  let response: Response
  try {
    response = await fetch(urlOf(path, query), {
      method,
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      ...(body === undefined ? {} : jsonBody(body)),
    })
  } catch (error) {
    if (signal?.aborted === true) throw error
    throw new Problem(0, 'unreachable', 'The manager cannot be reached.')
  }
  const text = await response.text()
  const answer = text === '' ? undefined : parsed(text)
  if (response.ok) return answer as T
  const { code = 'unknown', detail = response.statusText } = (answer ?? {}) as {
    code?: string
    detail?: string
  }
  throw new Problem(response.status, code, detail)
}

function jsonBody(body: unknown): { headers: Record<string, string>; body: string } {
  const text = JSON.stringify(body, (_name, value: unknown) =>
    value instanceof Digits ? value.forJson() : value,
  )
  return { headers: { 'content-type': 'application/json' }, body: text }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

/** The address of a path of the API. Each part of the path is encoded by its caller. */
export function urlOf(path: string, query: Query = {}): URL {
  const url = new URL(path, root)
  for (const [name, value] of Object.entries(query)) {
    for (const one of value === undefined ? [] : [value].flat()) url.searchParams.append(name, one)
  }
  return url
}

/** One segment of a path. */
export function segment(text: string): string {
  return encodeURIComponent(text).replace(/^\.{1,2}$/, (dots) => dots.replaceAll('.', '%2E'))
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Answers that a caller may have already. */
import type { ApiRequest } from './api-request.ts'
import { textResponse } from './text-response.ts'

/** Answers a text, or 304 to those who have it. */
export function conditional(
  request: ApiRequest,
  etag: string,
  text: string,
  headers: Readonly<Record<string, string>>,
): Response {
  const all = { ...headers, etag, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' }
  const known = request.headers.get('if-none-match')?.split(',') ?? []
  const isKnown = known.some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag)
  return isKnown ? new Response(null, { status: 304, headers: all }) : textResponse(text, 200, all)
}

/**
 * The trace context of a request (W3C Trace Context), for the jobs that come of it: a handler finds it
 * in `job.headers`, and what follows from its job inherits it.
 */
import { withHeaders } from '../core/labels.ts'
import type { ApiRequest } from './api-request.ts'

/** Version, trace, parent and flags; later versions may have more behind them. */
const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/
const longest = { traceparent: 128, tracestate: 512 } as const
const printable = /^[\x20-\x7e]*$/

/** Headers for a job, without what is no trace context: it is to be ignored, not refused. */
function traceOf(request: ApiRequest): Readonly<Record<string, string>> | undefined {
  const parent = request.headers.get('traceparent')?.trim()
  if (parent === undefined || parent.length > longest.traceparent || !traceparent.test(parent))
    return undefined
  const state = request.headers.get('tracestate')?.trim()
  const isKept =
    state !== undefined &&
    state !== '' &&
    state.length <= longest.tracestate &&
    printable.test(state)
  return isKept ? { traceparent: parent, tracestate: state } : { traceparent: parent }
}

/** Labels for a job: the trace of its request beside the headers that a call names, which win. */
export function tracedHeaders(
  request: ApiRequest,
  given?: Readonly<Record<string, string>>,
): { readonly headers?: Readonly<Record<string, string>> } {
  const headers = withHeaders(traceOf(request), given)
  return headers === undefined ? {} : { headers }
}

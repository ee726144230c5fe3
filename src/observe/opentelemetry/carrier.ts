/** The trace context in the headers of a job, as the W3C writes it. */
import type { Context, SpanContext } from '@opentelemetry/api'
import { headersBytes } from '../../core/labels.ts'
import type { OpenTelemetryApi } from './api.ts'
import { stateHeader, traceHeader } from './names.ts'

export type Headers = Readonly<Record<string, string>>

const shape = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/
const longestState = 512

/** The context that headers name; null for none, and for one that is not valid. */
export function contextIn(api: OpenTelemetryApi, headers: Headers | undefined): Context | null {
  const parent = headers?.[traceHeader]
  if (headers === undefined || parent === undefined) return null
  const [, traceId, spanId, flags] = shape.exec(parent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return null
  const state = headers[stateHeader]
  const spanContext: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state === undefined ? {} : { traceState: api.createTraceState(state) }),
  }
  // Its shape is right, so zeros are all that can be wrong.
  if (traceId === api.INVALID_TRACEID || spanId === api.INVALID_SPANID) return null
  return api.trace.setSpanContext(api.ROOT_CONTEXT, spanContext)
}

/** Headers with a span's context among them; as they were, where there is none, or no room. */
export function withContext(
  api: OpenTelemetryApi,
  headers: Headers | undefined,
  spanContext: SpanContext,
): Headers | undefined {
  if (!api.isSpanContextValid(spanContext)) return headers
  const { traceId, spanId, traceFlags, traceState } = spanContext
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0')
  const state = traceState?.serialize() ?? ''
  const { [stateHeader]: _, ...others } = headers ?? {}
  const linked: Headers = {
    ...others,
    [traceHeader]: `00-${traceId}-${spanId}-${flags}`,
    ...(state === '' || state.length > longestState ? {} : { [stateHeader]: state }),
  }
  if (headers === undefined) return linked
  return Buffer.byteLength(JSON.stringify(linked)) <= headersBytes ? linked : headers
}

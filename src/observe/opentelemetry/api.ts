/** Loads `@opentelemetry/api`, which belongs to the user. */
import type * as Api from '@opentelemetry/api'
import { ErrandError } from '../../core/errors.ts'

export type OpenTelemetryApi = typeof Api

/** The API. What is missing is said when the module that needs it is loaded. */
export const api: OpenTelemetryApi = await import('@opentelemetry/api').catch((cause: unknown) => {
  throw new ErrandError(
    'missing-peer',
    'errand/opentelemetry needs the package @opentelemetry/api: npm install @opentelemetry/api',
    { cause },
  )
})

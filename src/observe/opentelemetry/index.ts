/** `errand/opentelemetry`: traces and metrics by the API of OpenTelemetry. */
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readFlag } from '../../core/read.ts'
import type { Telemetry } from '../tracing.ts'
import { api } from './api.ts'
import { MeteredEvents } from './metrics.ts'
import { Traces } from './traces.ts'

export interface OpenTelemetryOptions {
  /** Whether calls and attempts are traced. Default true. */
  readonly traces?: boolean
  /** Whether they are measured. Default true. */
  readonly metrics?: boolean
}

/**
 * Traces and measures an app by the SDK that the program has started; without one it does nothing.
 * Start the SDK before the app is used. Throws `invalid-option`.
 *
 * @example
 * createErrand({ store, tasks, telemetry: openTelemetry() })
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Telemetry {
  const where = 'openTelemetry()'
  refuseUnknownKeys(options, ['traces', 'metrics'], where)
  const { traces = true, metrics = true } = options
  readFlag(traces, `${where}.traces`)
  readFlag(metrics, `${where}.metrics`)
  return {
    attach(events) {
      const metered = metrics ? new MeteredEvents(api) : null
      metered?.attach(events)
      let isTold = false
      const failed = (error: unknown): void => {
        if (!isTold) events.warn('telemetry-failed', { error })
        isTold = true
      }
      if (traces) events.tracing = new Traces(api, { sent: (what) => metered?.sent(what), failed })
    },
  }
}

export type { Telemetry }

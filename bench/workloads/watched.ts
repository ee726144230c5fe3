/** What it costs to be watched: charts and metrics, and a trace of every job. */
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { openTelemetry } from 'errand/opentelemetry'
import { prometheus } from 'errand/prometheus'
import { checkCompleted, enqueueMails, openApp, type AppOptions } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { cpuMicroseconds } from '../kit/ticks.ts'
import { atLeast, atMost, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

const scrapeMs = 1_000

/**
 * The SDK as programs set it up: every trace sampled, spans in the batches of its own batch
 * processor, which go to nowhere. Returns a function that throws unless at least so many came.
 */
function startSdk(): (spans: number) => Promise<void> {
  let exported = 0
  const exporter = {
    export(spans: readonly unknown[], done: (result: { readonly code: number }) => void) {
      exported += spans.length
      done({ code: 0 })
    },
    shutdown: async () => undefined,
  }
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const provider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] })
  trace.setGlobalTracerProvider(provider)
  return async (spans) => {
    await provider.forceFlush()
    if (exported < spans) throw new Error(`${spans} spans should be exported, ${exported} are`)
  }
}

const parent = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: 1,
  isRemote: true,
}

/** What a user's handler would do to be traced without Errand: one span with what Errand says in its own. */
function bareSpan(job: number): void {
  const span = trace.getTracer('bench').startSpan(
    'run default',
    {
      kind: SpanKind.CONSUMER,
      attributes: {
        'messaging.system': 'errand',
        'messaging.operation.name': 'run',
        'messaging.operation.type': 'process',
        'messaging.destination.name': 'default',
        'messaging.message.id': String(job),
        'errand.task': 'mail',
        'errand.attempt': 1,
      },
    },
    trace.setSpanContext(ROOT_CONTEXT, parent),
  )
  span.setAttribute('errand.outcome', 'completed')
  span.end()
}

interface Watch {
  readonly options: AppOptions
  readonly isScraped?: boolean
  /** Who makes a span for each job. */
  readonly spans?: 'errand' | 'handler'
}

function drained({ options, isScraped = false, spans }: Watch): Measure {
  return async (setting) => {
    const jobs = scaled(60_000, setting)
    const checkSpans = spans === undefined ? null : startSdk()
    const inHandler = spans === 'handler' ? bareSpan : () => undefined
    const drain = new Drain(
      (ran) =>
        openApp(
          setting,
          (id) => {
            inHandler(id)
            ran(id)
          },
          options,
        ),
      jobs,
    )
    await enqueueMails(drain.app, 0, jobs)
    const metrics = isScraped ? prometheus(drain.app.errand) : null
    const scrapes = setInterval(() => void metrics?.text(), scrapeMs)
    const cpuBefore = cpuMicroseconds()
    await drain.start()
    const settledAt = await drain.settled(jobs)
    const cpu = (cpuMicroseconds() - cpuBefore) / jobs
    clearInterval(scrapes)
    await drain.stop()
    metrics?.stop()
    drain.ledger.check()
    await checkSpans?.(jobs)
    await checkCompleted(drain.app, jobs)
    await drain.close()
    return { rate: (jobs / (settledAt - drain.startedAt)) * 1_000, cpu }
  }
}

export const watched: Workload = {
  name: 'watched',
  title: 'A drain that is watched',
  durabilities: ['process'],
  cases: {
    nobody: drained({ options: { history: false } }),
    charts: drained({ options: {} }),
    metrics: drained({ options: {}, isScraped: true }),
    traces: drained({
      options: { history: false, telemetry: openTelemetry({ metrics: false }) },
      spans: 'errand',
    }),
    spans: drained({ options: { history: false }, spans: 'handler' }),
  },
  rows(measured) {
    const of = (name: string, figure: 'rate' | 'cpu'): readonly number[] => measured(name, figure)
    const part = (name: string): readonly number[] => ratio(of(name, 'rate'), of('nobody', 'rate'))
    const cpu = (name: string, to = 'nobody'): readonly number[] =>
      ratio(of(name, 'cpu'), of(to, 'cpu'))
    return [
      row('drain, nobody listens', 'jobs/s', of('nobody', 'rate'), null, 'history: false'),
      row('CPU per job, nobody listens', 'µs', of('nobody', 'cpu'), null, 'all threads'),
      row('drain with charts / without', 'ratio', part('charts'), atLeast(0.97)),
      row(
        'drain with charts and metrics / without',
        'ratio',
        part('metrics'),
        atLeast(0.97),
        'scraped each second',
      ),
      row('CPU with charts and metrics / without', 'ratio', cpu('metrics'), atMost(1.03)),
      row(
        'drain with every job traced / without',
        'ratio',
        part('traces'),
        atLeast(0.85),
        'OpenTelemetry’s SDK, batches to nowhere',
      ),
      row('CPU with every job traced / without', 'ratio', cpu('traces'), atMost(1.15)),
      row(
        'CPU with every job traced / with a bare span in each handler',
        'ratio',
        cpu('traces', 'spans'),
        atMost(1.1),
        'what Errand adds to the SDK',
      ),
    ]
  },
}

/** What it costs to be watched: charts and metrics, and a trace of every job. */
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { context, trace } from '@opentelemetry/api'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { openTelemetry } from 'errand/opentelemetry'
import { prometheus } from 'errand/prometheus'
import { checkCompleted, enqueueMails, openApp, type AppOptions } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { atLeast, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

const scrapeMs = 1_000

/** Spans as a batch of them is exported, to nowhere. */
function traceAll(): void {
  const exporter = {
    export: (_: unknown, done: (result: { readonly code: number }) => void) => done({ code: 0 }),
    shutdown: async () => undefined,
  }
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] }),
  )
}

function drained(options: AppOptions, isScraped: boolean): Measure {
  return async (setting) => {
    const jobs = scaled(60_000, setting)
    if (options.telemetry !== undefined) traceAll()
    const drain = new Drain((ran) => openApp(setting, ran, options), jobs)
    await enqueueMails(drain.app, 0, jobs)
    const metrics = isScraped ? prometheus(drain.app.errand) : null
    const scrapes = setInterval(() => void metrics?.text(), scrapeMs)
    await drain.start()
    const settledAt = await drain.settled(jobs)
    clearInterval(scrapes)
    await drain.stop()
    metrics?.stop()
    drain.ledger.check()
    await checkCompleted(drain.app, jobs)
    await drain.close()
    return { rate: (jobs / (settledAt - drain.startedAt)) * 1_000 }
  }
}

export const watched: Workload = {
  name: 'watched',
  title: 'A drain that is watched',
  durabilities: ['process'],
  cases: {
    nobody: drained({ history: false }, false),
    charts: drained({}, false),
    metrics: drained({}, true),
    traces: drained({ history: false, telemetry: openTelemetry({ metrics: false }) }, false),
  },
  rows(measured) {
    const rate = (name: string): readonly number[] => measured(name, 'rate')
    const part = (name: string): readonly number[] => ratio(rate(name), rate('nobody'))
    return [
      row('drain, nobody listens', 'jobs/s', rate('nobody'), null, 'history: false'),
      row('drain with charts / without', 'ratio', part('charts'), atLeast(0.97)),
      row(
        'drain with charts and metrics / without',
        'ratio',
        part('metrics'),
        atLeast(0.97),
        'scraped each second',
      ),
      row('drain with every job traced / without', 'ratio', part('traces'), atLeast(0.85)),
    ]
  },
}

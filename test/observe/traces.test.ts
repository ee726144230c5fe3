/** Traces end to end, over PostgreSQL and over HTTP, as an SDK with an exporter in memory sees them. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it, type TestContext } from 'node:test'
import { context, metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace'
import pg from 'pg'
import { constant, createErrand, schedule, task, workflow, type Errand, type Store } from 'errand'
import { http } from 'errand/http'
import { listen, manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { openTelemetry } from 'errand/opentelemetry'
import { postgres } from 'errand/postgres'
import { findPostgres } from '../postgres-server.ts'

const server = await findPostgres()
const exporter = new InMemorySpanExporter()
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({
  exporter: measured,
  exportIntervalMillis: 3_600_000,
})

after(async () => {
  await reader.shutdown()
  await server?.stop()
})

before(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  )
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
})

/** Tasks of which the first fails once, then leaves two others behind. */
function tasks() {
  const third = task({ name: 'third', run: () => 3 })
  const called = task({ name: 'called', run: () => 4 })
  const second = task({ name: 'second', run: () => 2 })
  const first = task({
    name: 'first',
    retry: { limit: 2, backoff: constant(5) },
    onSuccess: [second.name],
    async run(_: undefined, job) {
      if (job.attempt === 1) throw new TypeError('not yet')
      await job.enqueue(third)
      await job.call(called)
      trace.getTracer('handler').startSpan('inside').end()
    },
  })
  return { first, second, third, called, all: [first, second, third, called] }
}

/** All spans of one trace, once there are as many. */
async function spansOf(traceId: string, count: number): Promise<readonly ReadableSpan[]> {
  const end = performance.now() + 30_000
  for (;;) {
    const found = exporter
      .getFinishedSpans()
      .filter((span) => span.spanContext().traceId === traceId)
    if (found.length >= count || performance.now() > end) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Each span as its name, its parent's name and what came of it. */
function shape(spans: readonly ReadableSpan[]): readonly string[] {
  const name = ({ name: title, attributes }: ReadableSpan): string => {
    const { 'errand.task': of, 'errand.attempt': attempt } = attributes
    return `${title}${typeof of === 'string' ? ` ${of}` : ''}${typeof attempt === 'number' ? ` ${attempt}` : ''}`
  }
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, name(span)]))
  return spans
    .map((span) => {
      const parent = byId.get(span.parentSpanContext?.spanId ?? '') ?? 'nothing'
      const kind = SpanKind[span.kind].toLowerCase()
      const failed = span.status.code === SpanStatusCode.ERROR ? ' failed' : ''
      return `${parent} > ${kind} ${name(span)}${failed}`
    })
    .toSorted()
}

async function checkTrace(errand: Errand, first: ReturnType<typeof tasks>['first']): Promise<void> {
  const tracer = trace.getTracer('test')
  const traceId = await tracer.startActiveSpan('request', async (span) => {
    const job = await errand.enqueue(first, undefined)
    await job.result({ timeout: '30s' })
    span.end()
    return span.spanContext().traceId
  })
  const spans = await spansOf(traceId, 8)
  assert.deepEqual(shape(spans), [
    'enqueue default first > consumer run default first 1 failed',
    'enqueue default first > consumer run default first 2',
    'nothing > internal request',
    'request > producer enqueue default first',
    'run default first 2 > consumer run default called 1',
    'run default first 2 > consumer run default second 1',
    'run default first 2 > consumer run default third 1',
    'run default first 2 > internal inside',
  ])
  const failed = spans.find(({ status }) => status.code === SpanStatusCode.ERROR)
  assert.equal(failed?.attributes['error.type'], 'TypeError')
  assert.equal(failed?.attributes['messaging.system'], 'errand')
  assert.equal(failed?.attributes['messaging.operation.type'], 'process')
}

describe('traces', { skip: server === null }, () => {
  const schemas: string[] = []
  const database = (t: TestContext): Store => {
    const schema = `errand_traces_${randomUUID().slice(0, 8)}`
    schemas.push(schema)
    t.after(async () => {
      const client = new pg.Client(server?.url)
      await client.connect()
      await client.query(`drop schema if exists ${schema} cascade`)
      await client.end()
    })
    return postgres(server?.url ?? '', { schema })
  }

  it('go from a call through a retry to its follow-ups, over PostgreSQL', async (t) => {
    const { first, all } = tasks()
    const errand = createErrand({ store: database(t), tasks: all, telemetry: openTelemetry() })
    try {
      await errand.worker().start()
      await checkTrace(errand, first)
    } finally {
      await errand.close()
    }
  })

  it('go on in a worker and from a producer that are behind a manager, over HTTP', async (t) => {
    const { first, all } = tasks()
    const behind = createErrand({ store: database(t), tasks: all })
    const server = await listen(manager(behind, { access: 'open' }), { port: 0 })
    const { url } = server
    const telemetry = openTelemetry()
    const producer = createErrand({ store: http({ url }), tasks: all, telemetry })
    const consumer = createErrand({ store: http({ url }), tasks: all, telemetry })
    try {
      await consumer.worker().start()
      await checkTrace(producer, first)
      // A request of any program, with a trace of its own.
      const traceId = randomUUID().replaceAll('-', '')
      const answer = await fetch(`${url}/v1/queues/default/tasks/second/jobs`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
        },
        body: '{}',
      })
      assert.ok(answer.ok, await answer.text())
      const [run] = await spansOf(traceId, 1)
      assert.equal(run?.name, 'run default')
      assert.equal(run?.parentSpanContext?.spanId, '00f067aa0ba902b7')
    } finally {
      await Promise.all([producer.close(), consumer.close()])
      await server.close({ grace: 0 })
      await behind.close()
    }
  })

  it('begin at a tick of a schedule, and hold a whole workflow together', async (t) => {
    const { second, third, all } = tasks()
    const flow = workflow({
      name: 'flow',
      build(w) {
        w.add('last', third, undefined, { needs: [w.add('head', second)] })
      },
    })
    const errand = createErrand({
      store: database(t),
      tasks: all,
      workflows: [flow],
      schedules: [schedule({ name: 'soon', task: second, every: '1s' })],
      telemetry: openTelemetry(),
    })
    try {
      await errand.worker().start()
      const traceId = await trace.getTracer('test').startActiveSpan('start', async (span) => {
        const run = await errand.start(flow)
        await run.result({ timeout: '30s' })
        span.end()
        return span.spanContext().traceId
      })
      const names = shape(await spansOf(traceId, 4))
      assert.ok(names.includes('enqueue > consumer run default third 1'), names.join('\n'))
      assert.ok(names.includes('enqueue > consumer run default second 1'), names.join('\n'))
      const end = performance.now() + 30_000
      const tick = (): ReadableSpan | undefined =>
        exporter.getFinishedSpans().find(({ name }) => name === 'tick default')
      while (tick() === undefined && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 20))
      const ofTick = await spansOf(tick()?.spanContext().traceId ?? '', 2)
      assert.deepEqual(shape(ofTick), [
        'nothing > producer tick default second',
        'tick default second > consumer run default second 1',
      ])
    } finally {
      await errand.close()
    }
  })

  it('come with metrics by the same API', async (t) => {
    const { second, all } = tasks()
    const errand = createErrand({ store: database(t), tasks: all, telemetry: openTelemetry() })
    try {
      await errand.worker().start()
      await (await errand.enqueue(second, undefined)).result({ timeout: '30s' })
      const names = async (): Promise<readonly string[]> => {
        await reader.forceFlush()
        const [last] = measured.getMetrics().slice(-1)
        return (last?.scopeMetrics ?? []).flatMap((scope) =>
          scope.metrics.map(({ descriptor }) => descriptor.name),
        )
      }
      const end = performance.now() + 30_000
      while (!(await names()).includes('messaging.process.duration') && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 20))
      const found = await names()
      for (const name of [
        'messaging.client.sent.messages',
        'messaging.client.consumed.messages',
        'messaging.process.duration',
        'errand.job.wait',
        'errand.job.total',
        'errand.store.call.duration',
      ])
        assert.ok(found.includes(name), name)
    } finally {
      await errand.close()
    }
  })
})

it('a bulk call names its trace beside the headers of each entry, which win', async () => {
  const { second, all } = tasks()
  const errand = createErrand({ store: memory(), tasks: all, telemetry: openTelemetry() })
  const foreign = `00-${randomUUID().replaceAll('-', '')}-00f067aa0ba902b7-01`
  const full = { tenant: 'x'.repeat(4_050) }
  try {
    const [traceId, jobs] = await trace.getTracer('test').startActiveSpan('many', async (span) => {
      const made = await errand.enqueueMany([
        [second, undefined, { headers: { tenant: 'ada' } }],
        [second, undefined],
        [second, undefined, { headers: { tenant: 'ada', traceparent: foreign } }],
        // There is no room for a trace beside these.
        [second, undefined, { headers: full }],
      ])
      span.end()
      return [span.spanContext().traceId, made] as const
    })
    const kept = await Promise.all(
      jobs.map(async ({ id }) => (await errand.jobs.get(id))?.headers ?? {}),
    )
    const [call] = (await spansOf(traceId, 2)).filter(({ name }) => name === 'enqueue')
    const own = `00-${traceId}-${call?.spanContext().spanId}-01`
    assert.deepEqual(kept, [
      { tenant: 'ada', traceparent: own },
      { traceparent: own },
      { tenant: 'ada', traceparent: foreign },
      full,
    ])
    await errand.worker().start()
    await jobs[0].result({ timeout: '30s' })
    const run = (await spansOf(traceId, 3)).find(({ name }) => name === 'run default')
    assert.equal(run?.parentSpanContext?.spanId, call?.spanContext().spanId)
  } finally {
    await errand.close()
  }
})

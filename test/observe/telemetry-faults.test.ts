/** Telemetry that throws, blocks or is down, and listeners that misbehave: the runs go on. */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { metrics, trace, type Attributes, type Meter } from '@opentelemetry/api'
import {
  BatchSpanProcessor,
  SimpleSpanProcessor,
  TracerProvider,
  type SpanExporter,
} from '@opentelemetry/sdk-trace'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'
import { openTelemetry } from 'errand/opentelemetry'
import { EventHub } from '../../src/observe/events.ts'

const next = task({ name: 'next', run: () => 'next' })
const work = task({ name: 'work', onSuccess: ['next'], run: (n: number) => n + 1 })

afterEach(() => {
  trace.disable()
  metrics.disable()
})

/** Runs some jobs and returns their results, with the warnings that were told. */
async function runSome(count = 20): Promise<{ results: readonly unknown[]; warnings: string[] }> {
  const errand = createErrand({
    store: memory(),
    tasks: [work, next],
    telemetry: openTelemetry(),
  })
  const warnings: string[] = []
  errand.on('warning', ({ code }) => warnings.push(code))
  try {
    await errand.worker().start()
    const results: unknown[] = []
    for (let n = 0; n < count; n++) {
      const job = await errand.enqueue(work, n)
      results.push(await job.result({ timeout: '20s' }))
    }
    const end = performance.now() + 20_000
    const nexts = async (): Promise<number> =>
      (await errand.jobs.list({ task: 'next', state: 'completed', limit: 100 })).jobs.length
    while ((await nexts()) < count && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(await nexts(), count)
    return { results, warnings }
  } finally {
    await errand.close()
  }
}

const expected = Array.from({ length: 20 }, (_, n) => n + 1)

test('an exporter that throws does not reach the run', async () => {
  const exporter: SpanExporter = {
    export() {
      throw new Error('the exporter is broken')
    },
    shutdown: async () => undefined,
  }
  // Whatever of the SDK lets it through.
  const onEnd = (): never => {
    throw new Error('the processor is broken')
  }
  const broken = {
    onStart: () => undefined,
    onEnd,
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  }
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter }), broken] }),
  )
  const { results, warnings } = await runSome()
  assert.deepEqual(results, expected)
  assert.deepEqual(warnings, ['telemetry-failed'])
})

test('an exporter that never answers holds up nothing', async () => {
  const exporter: SpanExporter = { export: () => undefined, shutdown: async () => undefined }
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  )
  assert.deepEqual((await runSome()).results, expected)
})

test('an exporter whose server is down holds up nothing', async () => {
  const error = new Error('connect ECONNREFUSED')
  const exporter: SpanExporter = {
    export: (_, done) => done({ code: 1, error }),
    shutdown: async () => undefined,
  }
  trace.setGlobalTracerProvider(
    new TracerProvider({
      spanProcessors: [new BatchSpanProcessor({ exporter, maxExportBatchSize: 1 })],
    }),
  )
  assert.deepEqual(await runSome(), { results: expected, warnings: [] })
})

test('instruments that throw at every call are reported once for each event, not for each job', async () => {
  const broken = (): never => {
    throw new Error('no instrument')
  }
  metrics.setGlobalMeterProvider({ getMeter: broken })
  const { results, warnings } = await runSome()
  assert.deepEqual(results, expected)
  // Jobs that are enqueued are counted by the traces; ended runs and calls of the store are events.
  assert.deepEqual(warnings.toSorted(), ['listener-failed', 'listener-failed', 'telemetry-failed'])
})

test('of 10,000 names of queues 200 become attributes of metrics', () => {
  const queues = new Set<unknown>()
  const instrument = {
    add: (_: number, attributes?: Attributes) =>
      queues.add(attributes?.['messaging.destination.name']),
    record: (_: number, attributes?: Attributes) =>
      queues.add(attributes?.['messaging.destination.name']),
  }
  const meter = { createCounter: () => instrument, createHistogram: () => instrument }
  metrics.setGlobalMeterProvider({ getMeter: () => meter as unknown as Meter })
  const events = new EventHub()
  openTelemetry({ traces: false }).attach(events)
  for (let n = 0; n < 10_000; n++)
    events.emit('job-rescued', { id: 'j', task: 't', queue: `q${n}`, why: 'lost', to: 'ready' })
  assert.equal(queues.size, 201)
  assert.ok(queues.has('other'))
})

test('a tracer that throws at every call is told of once, and each job runs once', async () => {
  const throws = (): never => {
    throw new Error('no tracer')
  }
  trace.setGlobalTracerProvider({ getTracer: throws })
  const { results, warnings } = await runSome()
  assert.deepEqual(results, expected)
  assert.deepEqual(warnings, ['telemetry-failed'])
})

test('without an SDK nothing is traced, and headers stay as they are', async () => {
  const errand = createErrand({ store: memory(), tasks: [work], telemetry: openTelemetry() })
  try {
    const { id } = await errand.enqueue(work, 1)
    assert.deepEqual((await errand.jobs.get(id))?.headers, {})
    const own = await errand.enqueue(work, 1, { headers: { traceparent: 'nonsense', a: 'b' } })
    assert.deepEqual((await errand.jobs.get(own.id))?.headers, { traceparent: 'nonsense', a: 'b' })
  } finally {
    await errand.close()
  }
})

test('headers that are full are stored as they are: no trace makes a call fail', async () => {
  const exporter: SpanExporter = { export: () => undefined, shutdown: async () => undefined }
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  )
  const errand = createErrand({ store: memory(), tasks: [work], telemetry: openTelemetry() })
  try {
    const headers = { full: 'x'.repeat(4_080) }
    const { id } = await errand.enqueue(work, 1, { headers })
    assert.deepEqual((await errand.jobs.get(id))?.headers, headers)
    const many = await errand.enqueueMany([[work, 1, { headers }]])
    assert.deepEqual((await errand.jobs.get(many[0].id))?.headers, headers)
    const [small] = await errand.enqueueMany([[work, 1, { headers: { tenant: 'ada' } }]])
    const { tenant, traceparent } = (await errand.jobs.get(small.id))?.headers ?? {}
    assert.equal(tenant, 'ada')
    assert.match(traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  } finally {
    await errand.close()
  }
})

test('a listener that fails later, or never returns, is no trouble of the run', async () => {
  const errand = createErrand({ store: memory(), tasks: [work] })
  const warnings: string[] = []
  errand.on('warning', ({ code }) => warnings.push(code))
  errand.on('run-started', () => new Promise(() => undefined) as never)
  const late = async (): Promise<void> => {
    await new Promise(setImmediate)
    throw new Error('late')
  }
  errand.on('run-ended', () => late() as never)
  try {
    await errand.worker().start()
    const job = await errand.enqueue(work, 1)
    assert.equal(await job.result({ timeout: '20s' }), 2)
    const end = performance.now() + 20_000
    while (warnings.length === 0 && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(warnings, ['listener-failed'])
  } finally {
    await errand.close()
  }
})

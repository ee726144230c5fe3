/**
 * EasyJobs' producers keep working: a program in Python that speaks nothing but its message format feeds jobs over a real broker, a
 * client of the HTTP API sees their results, and a consumer in Python gets the published ones.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as z from 'zod'
import { createErrand, task } from '../../src/index.ts'
import { listen, manager } from '../../src/manager/index.ts'
import { rabbitmq, rabbitmqResults } from '../../src/sources/rabbitmq/index.ts'
import { memory } from '../../src/stores/memory/index.ts'
import { findRabbitmq, withModel } from '../rabbitmq-server.ts'
import { findBinary } from '../services.ts'

const python = '/usr/bin/python3'
const pika = '/usr/lib/python3/dist-packages/pika'
const program = {
  name: 'pika',
  variable: 'ERRAND_TEST_PIKA',
  debianPackage: 'python3-pika',
  binary: () => (existsSync(pika) && existsSync(python) ? python : null),
}
const service = findBinary(program) === null ? null : await findRabbitmq()

interface Answer {
  readonly jobs: readonly {
    readonly task: string
    readonly state: string
    readonly queue: string
    readonly output: unknown
    readonly reason: string | null
  }[]
}

interface Result {
  readonly id: string
  readonly type: string
  readonly persistent: boolean
  readonly body: {
    readonly status: string
    readonly job: { readonly id: string; readonly task: string; readonly token: number }
    readonly output?: unknown
  }
}

if (service !== null) {
  after(() => service.stop())

  test('a producer, a client of the API and a consumer that know nothing of Errand', async () => {
    const { url } = service
    const [queue, results] = [`etl-${process.pid}`, `results-${process.pid}`]
    await withModel(url, async (model) => {
      const channel = await model.createChannel()
      // As the consumer of EasyJobs declares it, when that is still about.
      await channel.assertQueue(queue, { durable: false, autoDelete: true })
      await channel.assertQueue(results, { durable: true })
    })
    const publish = rabbitmqResults({ url, queue: results })
    const extract = task({
      name: 'extract',
      queue,
      input: z.object({ day: z.string(), rows: z.number().default(1) }),
      publish,
      run: ({ day, rows }) => `${day}: ${rows}`,
    })
    const load = task({
      name: 'load',
      queue,
      publish,
      retry: 'never',
      run: () => {
        throw new Error('the target is full')
      },
    })
    const source = rabbitmq({ url, queues: [queue] })
    const errand = createErrand({ store: memory(), tasks: [extract, load], sources: [source] })
    const server = await listen(manager(errand), { port: 0 })
    try {
      errand.sources.start()
      await errand.worker().start()
      const jobs = [
        { job: { name: 'extract', args: ['monday'], kwargs: { rows: 3 } } },
        { namespace: 'anything', name: 'extract', args: ['tuesday'], kwargs: {} },
        { job: { name: 'load', args: [], kwargs: { file: 'a.csv' } } },
        { job: { name: 'extract', args: ['a', 1, 'too many'] } },
      ]
      await runPython('easyjobs-producer.py', [url, queue], JSON.stringify(jobs))
      const lines = await runPython('results-consumer.py', [url, results, '3'])
      const told = lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Result)
      const shown = await fetch(`${server.url}/v1/jobs?limit=50`)
      const { jobs: known } = (await shown.json()) as Answer
      const ends = known
        .filter(({ task: name }) => ['extract', 'load', 'errand.message'].includes(name))
        .map(
          ({ task: name, state, output, reason }) =>
            `${name} ${state} ${JSON.stringify(output ?? reason)}`,
        )
      assert.deepEqual(ends.toSorted(), [
        'errand.message failed "invalid-message"',
        'extract completed "monday: 3"',
        'extract completed "tuesday: 1"',
        'load failed "error"',
      ])
      assert.ok(known.every((job) => job.queue === queue || job.task.startsWith('errand.')))
      const health = (await (await fetch(`${server.url}/v1/health`)).json()) as { sources: unknown }
      const healthy = { name: 'rabbitmq', state: 'connected', failures: 0, storeFailures: 0 }
      assert.deepEqual(health.sources, [healthy])
      const published = told.map(
        ({ type, body }) => `${body.job.task} ${type} ${body.status} ${String(body.output)}`,
      )
      assert.deepEqual(published.toSorted(), [
        'extract completed completed monday: 3',
        'extract completed completed tuesday: 1',
        'load failed failed undefined',
      ])
      for (const { id, persistent, body } of told) {
        assert.equal(id, `${body.job.id}:${body.job.token}`)
        assert.ok(persistent)
      }
    } finally {
      await server.close()
      await errand.close()
      await withModel(url, async (model) => {
        await (await model.createChannel()).deleteQueue(results)
      })
    }
  })
}

function runPython(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = join(import.meta.dirname, file)
    const child = execFile(
      python,
      [path, ...args],
      { timeout: 90_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(stderr, { cause: error }))
      },
    )
    child.stdin?.end(input)
  })
}

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import { isErrandError } from '../../core/errors.ts'
import type { Published } from '../../core/published.ts'
import { task } from '../../core/task.ts'
import { drain, testErrand, type TestErrand } from '../../testing/index.ts'
import type { JobRecord } from '../../client/job-record.ts'
import { verifyWebhook, webhook, type WebhookEvent, type WebhookOptions } from './index.ts'

const secret = `whsec_${Buffer.alloc(32, 'hush').toString('base64')}`
const next = `whsec_${Buffer.alloc(32, 'next').toString('base64')}`
const event = { type: 'invoice.paid', data: { invoice: 7 } }

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface Receiver {
  readonly url: string
  readonly received: Received[]
}

/** A server that gives these answers, and 204 once they are used up. */
async function receiver(
  t: TestContext,
  ...answers: readonly ((response: ServerResponse) => void)[]
): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (part: string) => (body += part))
    request.on('end', () => {
      received.push({ headers: request.headers, body })
      const answer = answers[received.length - 1]
      if (answer === undefined) response.writeHead(204).end()
      else answer(response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in/s3cr3t`, received }
}

function answer(status: number, headers: Record<string, string> = {}) {
  return (response: ServerResponse): void => void response.writeHead(status, headers).end('why')
}

function hookTo(url: string, options: Partial<WebhookOptions> = {}) {
  return webhook({ name: 'hook', url, secret, allow: ['127.0.0.1'], ...options })
}

/** Sends one event, through all its retries. */
async function sent(
  t: TestContext,
  hook: ReturnType<typeof webhook>,
  given: WebhookEvent = event,
): Promise<{ readonly job: JobRecord; readonly errand: TestErrand }> {
  const errand = testErrand({ tasks: [hook] })
  t.after(() => errand.close())
  const { id } = await errand.enqueue(hook, given)
  await drain(errand, { until: 'empty', timeout: '30s' })
  const job = await errand.jobs.get(id)
  assert.ok(job !== null)
  return { job, errand }
}

const lastError = (job: JobRecord): string => job.runs.at(-1)?.error?.message ?? ''

describe('a webhook', () => {
  test('posts what its receiver can verify', async (t) => {
    const { url, received } = await receiver(t)
    const { job } = await sent(t, hookTo(url))
    assert.equal(job.state, 'completed')
    assert.deepEqual(job.output, { status: 204 })
    assert.equal(received.length, 1)
    const { headers, body } = received[0]!
    const { id, payload } = verifyWebhook(secret, headers, body)
    assert.equal(id, job.id)
    assert.deepEqual(payload, { ...event, timestamp: job.createdAt.toISOString() })
    assert.equal(headers['content-type'], 'application/json')
  })

  test('is repeated with the same id and body until it is taken', async (t) => {
    const busy = [answer(500), answer(503), answer(429, { 'retry-after': '7200' })]
    const cut = (response: ServerResponse): void => void response.socket?.destroy()
    const { url, received } = await receiver(t, ...busy, cut)
    const { job, errand } = await sent(t, hookTo(url, { retry: { limit: 4 } }))
    assert.equal(job.state, 'completed')
    assert.equal(received.length, 5)
    assert.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 1)
    assert.equal(new Set(received.map(({ body }) => body)).size, 1)
    for (const { headers, body } of received) verifyWebhook(secret, headers, body)
    const waited = errand.clock.now() - job.createdAt.getTime()
    assert.ok(waited >= 7_200_000, `it asked for two hours, and was left alone for ${waited} ms`)
  })

  test('fails when its retries are used up, and says where it stood', async (t) => {
    const { url, received } = await receiver(t, answer(502), answer(502))
    const { job } = await sent(t, hookTo(url, { retry: { limit: 1 } }))
    assert.equal(job.state, 'failed')
    assert.equal(received.length, 2)
    assert.match(
      lastError(job),
      /^http:\/\/127\.0\.0\.1:\d+ refused the webhook: it answered 502: why$/,
    )
  })

  test('fails at once where a repeat cannot help', async (t) => {
    for (const [status, why] of [
      [410, /gone for good/],
      [400, /answered 400: why/],
      [404, /answered 404/],
      [302, /redirect/],
    ] as const) {
      const { url, received } = await receiver(t, answer(status, { location: 'http://127.0.0.1/' }))
      const { job } = await sent(t, hookTo(url))
      assert.equal(job.state, 'failed')
      assert.equal(received.length, 1)
      assert.match(lastError(job), why)
    }
  })

  test('goes to no private address that is not allowed', async (t) => {
    const { url, received } = await receiver(t)
    for (const at of [url, url.replace('127.0.0.1', 'localhost')]) {
      const { job } = await sent(t, hookTo(at, { allow: ['10.0.0.0/8'] }))
      assert.equal(job.state, 'failed')
      assert.equal(job.attempt, 1)
      assert.match(lastError(job), /not on the public internet. If it is meant, allow it/)
    }
    assert.deepEqual(received, [])
  })

  test('ends a silent request by the timeout of the task', async (t) => {
    const { url } = await receiver(t, () => {})
    const errand = testErrand({ tasks: [hookTo(url, { retry: 'never' })] })
    t.after(() => errand.close())
    const { id } = await errand.enqueue('hook', event)
    const drained = drain(errand, { timeout: '30s' })
    const over = new AbortController()
    void drained.finally(() => over.abort())
    while (!over.signal.aborted) await errand.clock.advance(500)
    await drained
    const job = await errand.jobs.get(id)
    assert.equal(job?.state, 'failed')
    assert.equal(job.reason, 'timeout')
    assert.ok(errand.clock.now() - job.createdAt.getTime() >= 15_000)
  })

  test('finds address and secrets for each event', async (t) => {
    const { url, received } = await receiver(t)
    const hook = webhook<{ customer: string }>({
      name: 'hook',
      allow: ['127.0.0.1'],
      url: ({ data }) => ('customer' in data ? `${url}/${data.customer}` : url),
      secret: async ({ data }) =>
        'customer' in data && data.customer === 'a' ? secret : [secret, next],
    })
    const errand = testErrand({ tasks: [hook], slots: 1 })
    t.after(() => errand.close())
    for (const customer of ['a', 'b'])
      await errand.enqueue(hook, {
        type: 'made',
        timestamp: '2026-01-01T00:00:00Z',
        data: { customer },
      })
    await drain(errand)
    const [a, b] = received
    assert.throws(() => verifyWebhook(next, a!.headers, a!.body))
    for (const one of [secret, next]) verifyWebhook(one, b!.headers, b!.body)
    const payload = { type: 'made', timestamp: '2026-01-01T00:00:00Z', data: { customer: 'b' } }
    assert.deepEqual(JSON.parse(b!.body), payload)
  })

  test('tells how jobs of other tasks end, once for each end', async (t) => {
    const { url, received } = await receiver(t, answer(503))
    const hook = hookTo(url)
    const halve = task({
      name: 'halve',
      retry: 'never',
      publish: hook,
      run: (n: number) => {
        if (n % 2 === 1) throw new Error('odd')
        return n / 2
      },
    })
    const errand = testErrand({ tasks: [halve], slots: 1 })
    t.after(() => errand.close())
    const even = await errand.enqueue(halve, 4)
    const odd = await errand.enqueue(halve, 5)
    await drain(errand, { until: 'empty' })
    const told = received.map(({ headers, body }) => verifyWebhook(secret, headers, body))
    assert.equal(told.length, 3)
    assert.equal(new Set(told.map(({ id }) => id)).size, 2)
    const events = new Map(told.map(({ id, payload }) => [id, payload as WebhookEvent<Published>]))
    const [completed, failed] = [...events.values()].toSorted((a, b) => (a.type < b.type ? -1 : 1))
    assert.equal(completed!.type, 'job.completed')
    assert.equal(completed!.data.job.id, even.id)
    assert.ok(completed!.data.status === 'completed' && completed!.data.output === 2)
    assert.equal(failed!.type, 'job.failed')
    assert.equal(failed!.data.job.id, odd.id)
    assert.ok(failed!.data.status === 'failed' && failed!.data.report.errors[0]!.message === 'odd')
  })

  test('keeps secrets and the path of its address out of jobs, events and messages', async (t) => {
    const { url } = await receiver(t, answer(500), answer(400))
    const hook = hookTo(url, { retry: { limit: 1 } })
    const errand = testErrand({ tasks: [hook] })
    t.after(() => errand.close())
    const told: unknown[] = []
    errand.on('run-ended', ({ error, ...event }) => told.push(event, inspect(error)))
    errand.on('warning', (warning) => told.push(inspect(warning)))
    const { id } = await errand.enqueue(hook, event)
    await drain(errand, { until: 'empty' })
    const kept = await errand.store.get([id])
    const tasks = await errand.tasks.list()
    const all = JSON.stringify([kept, told, tasks, await errand.jobs.get(id)])
    assert.match(all, /answered 500/)
    assert.ok(!all.includes('s3cr3t'))
    assert.ok(!all.includes(secret.slice(6, 20)))
  })

  test('refuses an input without a type, and options that cannot work, without showing secrets', async (t) => {
    const { url, received } = await receiver(t)
    const { job } = await sent(t, hookTo(url), { data: 1 } as never)
    assert.equal(job.state, 'failed')
    assert.match(lastError(job), /The input of a webhook is \{ type, data \}/)
    assert.deepEqual(received, [])
    const bad: readonly (readonly [Record<string, unknown>, RegExp])[] = [
      [{ url: 'ftp://example.com' }, /webhook\(\)\.url must be an https: or http: URL/],
      [{ url: 'https://me:s3cr3t@example.com' }, /without user and password/],
      [{ url: undefined }, /webhook\(\)\.url/],
      [{ secret: 's3cr3t' }, /webhook\(\)\.secret needs a secret such as whsec_/],
      [{ secrets: [secret] }, /Did you mean secret\?/],
      [{ allow: ['10.0.0.0/64'] }, /webhook\(\)\.allow\[0\] must be/],
    ]
    for (const [options, why] of bad) {
      assert.throws(
        () => hookTo('https://example.com', options),
        (error) => {
          assert.ok(isErrandError(error, 'invalid-option'), String(error))
          assert.match(error.message, why)
          assert.ok(!error.message.includes('s3cr3t'), error.message)
          return true
        },
      )
    }
  })
})

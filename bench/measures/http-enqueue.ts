/**
 * How fast a manager takes jobs over HTTP, beside a bare route of the same framework that parses the
 * same JSON and answers. The load comes from a process of its own.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { serve } from '@hono/node-server'
import { createErrand } from 'errand'
import { listen, manager, tokens } from 'errand/manager'
import { sqlite } from 'errand/sqlite'
import { Hono } from 'hono'
import { fileOf, type Place } from '../kit/app.ts'
import { mail, mailTask } from '../kit/job.ts'
import type { Figures } from '../workload.ts'

const connections = 64
const warmUp = 3_000
const packages = fileURLToPath(new URL('../packages/', import.meta.url))
const autocannon = join(packages, 'node_modules', 'autocannon', 'autocannon.js')
const path = '/v1/queues/default/tasks/mail/jobs'

/** Why it cannot be measured now; null when it can. */
export function withoutLoad(): string | null {
  return existsSync(autocannon) ? null : 'install autocannon: npm ci --prefix bench/packages'
}

/** A route that parses the body and answers as a manager does, and stores nothing. */
export async function bareRoute(requests: number): Promise<Figures> {
  const app = new Hono()
  let parsed = 0
  app.post(path, async (c) => {
    const input: unknown = await c.req.json()
    if (typeof input === 'object') parsed++
    return c.json({ id: '01a20126-bb57-7401-8bb5-1ecacd176a02', inserted: 'created' }, 201)
  })
  const { promise, resolve } = Promise.withResolvers<number>()
  const server = serve(
    { fetch: app.fetch, port: 0, hostname: '127.0.0.1' },
    (address: AddressInfo) => resolve(address.port),
  )
  const figures = await load(`http://127.0.0.1:${await promise}`, requests, [])
  if (parsed !== requests + warmUp) throw new Error(`${parsed} requests came`)
  await new Promise((closed) => server.close(closed))
  return figures
}

/** A manager that stores the jobs. Throws unless there are as many as it said. */
export async function managed(place: Place, requests: number): Promise<Figures> {
  const store = sqlite(fileOf(place), { durability: place.durability })
  const errand = createErrand({ store, tasks: [mailTask(() => undefined)] })
  const { token } = await tokens(errand).create({ scopes: ['enqueue'] })
  const server = await listen(manager(errand), { port: 0 })
  const figures = await load(server.url, requests, ['-H', `authorization=Bearer ${token}`])
  const [ready] = await errand.jobs.counts()
  if (ready?.state !== 'ready' || ready.count !== requests + warmUp)
    throw new Error(`${requests + warmUp} jobs should be ready: ${JSON.stringify(ready)}`)
  await server.close({ grace: 0 })
  await errand.close()
  return figures
}

interface Result {
  readonly requests: { readonly average: number }
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly statusCodeStats: Readonly<Record<string, { readonly count: number }>>
  readonly errors: number
  readonly duration: number
}

async function load(url: string, requests: number, more: readonly string[]): Promise<Figures> {
  await cannon(url, warmUp, more)
  const before = process.cpuUsage()
  const { latency, duration } = await cannon(url, requests, more)
  const { user, system } = process.cpuUsage(before)
  const { p50, p99 } = latency
  return { rate: requests / duration, p50, p99, cpu: (user + system) / requests }
}

/** Sends so many requests and awaits all answers. Throws when one is not 201. */
async function cannon(url: string, requests: number, more: readonly string[]): Promise<Result> {
  const body = JSON.stringify(mail(1))
  const options = ['-c', String(connections), '-a', String(requests), '-m', 'POST', '-b', body]
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [autocannon, '--json', ...options, '-H', 'content-type=application/json', ...more, url + path],
    { maxBuffer: 10_000_000 },
  )
  const result = JSON.parse(stdout) as Result
  if (result.errors > 0 || result.statusCodeStats['201']?.count !== requests)
    throw new Error(`not each request was answered with 201: ${stdout}`)
  return result
}

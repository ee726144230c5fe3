/** The manager in servers of other frameworks, each under a path of its own. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { serve } from '@hono/node-server'
import { createErrand, task, type Errand } from 'errand'
import { manager, tokens, type Manager } from 'errand/manager'
import { memory } from 'errand/memory'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { asker } from './harness.ts'

const basePath = '/api/errand'

/** A handler of the form that Next's route files export. */
type RouteHandler = (
  request: Request,
  context: { readonly params: Promise<unknown> },
) => Promise<Response>

/** Puts a manager into a server, which listens then; returns its origin. */
type Mount = (made: Manager, context: TestContext) => Promise<string>

const mounts: Readonly<Record<string, Mount>> = {
  'Hono, by its router': (made, context) => {
    const app = new Hono()
    app.all(`${basePath}/*`, (c) => made.fetch(c.req.raw))
    return served(context, app)
  },
  'Hono, by mount()': (made, context) => {
    const app = new Hono()
    app.mount(basePath, made.fetch)
    return served(context, app)
  },
  Express: (made, context) =>
    listening(context, createServer(express().use(basePath, made.listener))),
  'Express, behind a parser of bodies': (made, context) => {
    const app = express()
    app.use(express.json({ strict: false }))
    app.use(basePath, made.listener)
    return listening(context, createServer(app))
  },
  Fastify: async (made, context) => {
    const app = fastify()
    app.all(`${basePath}/*`, async (request, reply) => {
      reply.hijack()
      await made.listener(Object.assign(request.raw, { body: request.body }), reply.raw)
    })
    context.after(() => app.close())
    return app.listen({ port: 0, host: '127.0.0.1' })
  },
  "Next, by a file's exports": (made, context) => {
    const handler: RouteHandler = made.fetch
    const routes = { GET: handler, POST: handler, DELETE: handler }
    const app = new Hono()
    app.all(`${basePath}/*`, (c) => {
      const { method } = c.req
      const route = method === 'GET' || method === 'POST' ? routes[method] : routes.DELETE
      return route(c.req.raw, { params: Promise.resolve({}) })
    })
    return served(context, app)
  },
  'node:http': (made, context) =>
    listening(
      context,
      createServer((incoming, outgoing) => void made.listener(incoming, outgoing)),
    ),
}

function served(context: TestContext, { fetch }: Pick<Hono, 'fetch'>): Promise<string> {
  return new Promise((resolve) => {
    const server = serve({ fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
      resolve(`http://127.0.0.1:${port}`),
    ) as Server
    context.after(() => closed(server))
  })
}

function listening(context: TestContext, server: Server): Promise<string> {
  context.after(() => closed(server))
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    ),
  )
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function makeApp(context: TestContext): Errand {
  const errand = createErrand({
    store: memory(),
    tasks: [task({ name: 'hello', run: (input: unknown) => input })],
  })
  context.after(() => errand.close())
  return errand
}

for (const [framework, mount] of Object.entries(mounts)) {
  test(`mounted in ${framework}`, async (context) => {
    const errand = makeApp(context)
    const origin = await mount(manager(errand, { basePath }), context)
    const ask = asker(origin)
    const { token } = await tokens(errand).create({ scopes: ['enqueue', 'read'] })
    const path = `${basePath}/v1/queues/default/tasks/hello/jobs`
    const input = { text: 'Grüße 🙂', list: [1, null, 'two'], long: 'x'.repeat(70_000) }
    const added = await ask('POST', path, { token, body: input })
    assert.equal(added.status, 201)
    const location = added.headers.get('location') ?? ''
    assert.ok(location.startsWith(`${basePath}/v1/jobs/`), location)
    const seen = await ask('GET', location, { token })
    assert.equal(seen.status, 200)
    assert.deepEqual((seen.body as { readonly input: unknown }).input, input)
    assert.equal(seen.headers.get('x-content-type-options'), 'nosniff')
    assert.equal((await ask('GET', location)).status, 401)
    assert.equal((await ask('GET', `${basePath}/nowhere`, { token })).status, 404)
    assert.equal((await ask('POST', path, { token, body: 1 })).status, 201)
  })
}

test('a listener knows who is at the other end, so this machine needs no token', async (context) => {
  for (const framework of ['Express', 'Fastify', 'node:http']) {
    const made = manager(makeApp(context), { basePath })
    const ask = asker((await mounts[framework]?.(made, context)) ?? '')
    assert.equal((await ask('GET', `${basePath}/v1/jobs/x`)).status, 404, framework)
    const proxied = { 'x-forwarded-for': '203.0.113.9' }
    const refused = await ask('GET', `${basePath}/v1/jobs/x`, { headers: proxied })
    assert.equal(refused.status, 401, framework)
  }
})

for (const wrong of ['api', '/api?x', '/a b', '//x', 7]) {
  test(`${String(wrong)} is no base path`, (context) => {
    const errand = makeApp(context)
    assert.throws(() => manager(errand, { basePath: wrong as string }), /must be a path such as/)
  })
}

/** Who may look and act: sessions, scopes, revoked tokens, pages of other origins, mounts. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, suite, test } from 'node:test'
import express from 'express'
import { Hono } from 'hono'
import { createErrand } from 'errand'
import { listen, manager, tokens } from 'errand/manager'
import { memory } from 'errand/memory'
import { openBrowser, scene, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

suite('sessions', () => {
  test('a cookie stands for a token, its id is hashed in the store, and its end is the end', async (t) => {
    const store = memory()
    const errand = createErrand({ store })
    const server = await listen(manager(errand), { port: 0 })
    t.after(() => server.close({ grace: 0 }).then(() => errand.close()))
    const { token } = await tokens(errand).create({ scopes: ['read'] })
    const opened = await signIn(server.url, token)
    assert.equal(opened.status, 201)
    const cookie = opened.headers.get('set-cookie') ?? ''
    assert.match(
      cookie,
      /^errand_session=[0-9a-f]{64}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
    )
    const own = cookie.split(';', 1)[0] ?? ''
    const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
      fetch(server.url + path, { method, headers: { cookie: own, ...headers } })
    assert.deepEqual(await (await ask('GET', '/v1/session')).json(), {
      token: token.split('_')[1],
      scopes: ['read'],
      queues: null,
      signedIn: true,
    })
    assert.equal((await ask('GET', '/v1/queues')).status, 200)
    assert.equal((await ask('POST', '/v1/queues/a/pause')).status, 403)
    // A cookie comes along by itself, so a page of another origin may make no use of it.
    const foreign = { origin: 'https://evil.example' }
    assert.equal((await ask('GET', '/v1/queues', foreign)).status, 403)
    assert.equal((await ask('GET', '/v1/queues', { 'sec-fetch-site': 'cross-site' })).status, 403)
    const records = await store.listRecords({ prefix: 'session:', after: null, limit: 10 })
    const id = own.split('=')[1] ?? ''
    assert.equal(records.length, 1)
    assert.ok(!JSON.stringify(records).includes(id))
    const out = await ask('DELETE', '/v1/session')
    assert.match(out.headers.get('set-cookie') ?? '', /^errand_session=; Max-Age=0;/)
    assert.equal((await ask('GET', '/v1/session')).status, 401)
  })

  test('an unknown token, a page of another origin and a forged cookie open nothing', async (t) => {
    const errand = createErrand({ store: memory() })
    const server = await listen(manager(errand), { port: 0 })
    t.after(() => server.close({ grace: 0 }).then(() => errand.close()))
    const { token } = await tokens(errand).create({ scopes: ['admin'] })
    const forged = `${token.slice(0, -4)}0000`
    assert.equal((await signIn(server.url, forged)).status, 401)
    assert.equal((await signIn(server.url, 'errand')).status, 401)
    const origin = { origin: 'https://evil.example' }
    assert.equal((await signIn(server.url, token, origin)).status, 403)
    const cookie = `errand_session=${'0'.repeat(64)}`
    assert.equal((await fetch(`${server.url}/v1/session`, { headers: { cookie } })).status, 401)
  })

  test('the records of sessions cannot be reached with a token for workers', async (t) => {
    const errand = createErrand({ store: memory() })
    const server = await listen(manager(errand), { port: 0 })
    t.after(() => server.close({ grace: 0 }).then(() => errand.close()))
    const { token } = await tokens(errand).create({ scopes: ['work', 'read', 'operate'] })
    await signIn(server.url, token)
    const list = await fetch(`${server.url}/v1/store/listRecords`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ args: [{ prefix: 'session:', after: null, limit: 10 }] }),
    })
    assert.ok(!(await list.text()).includes('session:'))
  })
})

suite('access of the dashboard', { skip: browser === null }, () => {
  if (browser === null) return

  test('who may only read sees no buttons, and a revoked token ends the page', async (t) => {
    const { errand, url } = await scene(t, memory())
    const made = await tokens(errand).create({ scopes: ['read'] })
    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(url)
    await page.getByLabel('Token').fill('errand_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByLabel('Token').fill(made.token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('Live', { exact: true }).waitFor()
    await page.goto(`${url}#/queues`)
    await page.getByRole('row', { name: /mail/ }).waitFor()
    assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 0)
    await page.goto(`${url}#/jobs?state=failed`)
    await page.locator('tbody [data-row]').first().waitFor()
    assert.equal(await page.getByRole('button', { name: /all that match/ }).count(), 0)
    // Not only hidden: the API itself refuses.
    const status = await page.evaluate(async () => {
      const answer = await fetch('v1/queues/mail/pause', { method: 'POST' })
      return answer.status
    })
    assert.equal(status, 403)
    await tokens(errand).revoke(made.id)
    await tokens(errand).create({ scopes: ['read'] })
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    assert.deepEqual(faults, [])
  })

  test('mounted under a path, with and without a slash at its end, it finds its files', async (t) => {
    const errand = createErrand({ store: memory() })
    const own = manager(errand, { access: 'open' })
    const based = manager(errand, { access: 'open', basePath: '/tools/errand' })
    const app = express()
    app.use('/jobs', own.listener)
    const hono = new Hono()
      .all('/tools/errand', (c) => based.fetch(c.req.raw))
      .all('/tools/errand/*', (c) => based.fetch(c.req.raw))
    app.use((request, response, next) => {
      if (!request.url.startsWith('/tools')) return next()
      void Promise.resolve(hono.fetch(new Request(`http://localhost${request.url}`))).then(
        async (answer) => {
          response.writeHead(answer.status, Object.fromEntries(answer.headers))
          response.end(Buffer.from(await answer.arrayBuffer()))
        },
      )
    })
    const server = createServer(app).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(async () => {
      await own.stop({ grace: 0 })
      server.closeAllConnections()
      server.close()
      await errand.close()
    })
    const { port } = server.address() as AddressInfo
    for (const path of ['/jobs', '/jobs/', '/tools/errand', '/tools/errand/']) {
      const { page, faults } = await watch(browser)
      await page.goto(`http://127.0.0.1:${port}${path}`)
      await page.getByRole('heading', { level: 1 }).waitFor()
      await page.context().close()
      assert.deepEqual(faults, [], path)
    }
  })
})

function signIn(
  url: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${url}/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ token }),
  })
}

/** What is hidden is nowhere in what a manager shows, whatever way somebody asks; workers get it all the same. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createErrand, task, type Errand } from 'errand'
import { http } from 'errand/http'
import { listen, manager, tokens } from 'errand/manager'
import { memory } from 'errand/memory'

const secret = 'swordfish-7'
const output = 'opensesame-9'

const login = task({
  name: 'login',
  retry: 'never',
  run(input: { user: { name: string; password: string }; pin: number; fails: boolean }, job) {
    const { password } = input.user
    job.log.info(`trying ${password} and ${input.pin}`)
    job.progress({ with: password })
    if (input.fails)
      throw new Error(`${password} is wrong`, { cause: new Error(`pin ${input.pin}`) })
    return { token: output, said: `welcome, ${password}` }
  },
})
const input = { user: { name: 'ada', password: secret }, pin: 987_654, fails: false }

interface Scene {
  readonly errand: Errand
  readonly url: string
  readonly good: string
  readonly bad: string
}

async function scene(t: TestContext): Promise<Scene> {
  const errand = createErrand({ store: memory(), tasks: [login] })
  const redact = ['input.user.password', 'input.pin', 'output.token']
  const server = await listen(manager(errand, { redact }), { port: 0 })
  const worker = errand.worker()
  t.after(async () => {
    await server.close({ grace: 0 })
    await worker.stop({ grace: 0 })
    await errand.close()
  })
  await worker.start()
  const good = await errand.enqueue(login, input)
  const bad = await errand.enqueue(login, { ...input, fails: true })
  await good.result({ timeout: '20s' })
  await assert.rejects(bad.result({ timeout: '20s' }))
  return { errand, url: server.url, good: good.id, bad: bad.id }
}

function hides(text: string, where: string): void {
  for (const one of [secret, String(input.pin), output])
    assert.ok(!text.includes(one), `${where}: ${text}`)
}

test('no route shows a hidden value, and none lets it be searched for', async (t) => {
  const { errand, url, good, bad } = await scene(t)
  const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(url + path, init)
  const paths = [
    '/v1/jobs',
    ...[good, bad].flatMap((id) =>
      ['', '/logs', '/result', '/result?wait=1s'].map((end) => `/v1/jobs/${id}${end}`),
    ),
  ]
  for (const path of paths) {
    const text = await (await ask(path)).text()
    hides(text, path)
  }
  const shown = (await (await ask(`/v1/jobs/${good}`)).json()) as {
    input: unknown
    output: unknown
  }
  assert.deepEqual(shown.input, {
    user: { name: 'ada', password: '[redacted]' },
    pin: '[redacted]',
    fails: false,
  })
  assert.deepEqual(shown.output, { token: '[redacted]', said: 'welcome, [redacted]' })

  const searches = [`user.password=${secret}`, 'pin=987654', '/user/password=x']
  for (const search of searches)
    assert.equal((await ask(`/v1/jobs?input=${encodeURIComponent(search)}`)).status, 403, search)
  assert.equal((await ask('/v1/jobs?output=token=x')).status, 403)
  // An object can be searched for only whole, hidden parts included.
  const whole = encodeURIComponent(`user=${JSON.stringify(input.user)}`)
  assert.equal((await ask(`/v1/jobs?input=${whole}`)).status, 403)
  assert.equal((await ask('/v1/jobs?input=user.name=ada')).status, 200)
  const bulk = await ask('/v1/jobs/retry', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ filter: { search: { in: 'input', path: ['pin'], equals: 987_654 } } }),
  })
  assert.equal(bulk.status, 403)

  const taken = await ask(`/v1/jobs/${good}/take`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'mine' }),
  })
  hides(await taken.text(), 'take')
  assert.equal((await errand.jobs.get(good)) ?? null, null)
})

test('events hide it, too', async (t) => {
  const { url, bad } = await scene(t)
  const gone = new AbortController()
  const stream = await fetch(`${url}/v1/events?job=${bad}`, { signal: gone.signal })
  let text = ''
  for await (const chunk of stream.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString()
    if (text.includes('event: job')) break
  }
  gone.abort()
  assert.match(text, /redacted/)
  hides(text, 'events')
})

test('the calls of a store hide it from those who only look; a worker gets it', async (t) => {
  const { errand, url, good, bad } = await scene(t)
  const reader = await tokens(errand).create({ scopes: ['read', 'operate'] })
  const work = await tokens(errand).create({ scopes: ['work', 'read', 'enqueue'] })
  // A manager looks for a token that it does not know ten times a second.
  const isKnown = async (): Promise<boolean> => {
    const headers = { authorization: `Bearer ${work.token}` }
    return (await fetch(`${url}/v1/session`, { headers })).ok
  }
  while (!(await isKnown()));
  const remote = createErrand({ store: http({ url, token: reader.token }) })
  t.after(() => remote.close())
  for (const id of [good, bad]) {
    hides(JSON.stringify(await remote.jobs.get(id)), 'get')
    hides(JSON.stringify(await remote.jobs.logs(id)), 'logs')
  }
  hides(JSON.stringify(await remote.jobs.list()), 'list')
  await assert.rejects(
    remote.jobs.list({ search: { in: 'input', path: ['pin'], equals: 987_654 } }),
    /hidden/,
  )
  hides(JSON.stringify(await remote.jobs.take(bad)), 'take')
  const workers = createErrand({ store: http({ url, token: work.token }), tasks: [login] })
  t.after(() => workers.close())
  assert.deepEqual((await workers.jobs.get(good))?.input, input)
})

test('paths that are none are refused', () => {
  const errand = createErrand({ store: memory() })
  for (const redact of [['password'], ['input..x'], [7], 'input.x'])
    assert.throws(() => manager(errand, { redact: redact as string[] }), /manager\(\)\.redact/)
})

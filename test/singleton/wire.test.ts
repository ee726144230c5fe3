/**
 * What travels between singletons and real servers, byte for byte but for what varies: that of Jobslib where Jobslib has it, so that
 * both may run side by side.
 */
import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import { createErrand, singleton, type SingletonRun } from 'errand'
import { consulLiveness, consulLocks } from 'errand/consul'
import { influxdb } from 'errand/influxdb'
import { memory } from 'errand/memory'
import { findInfluxdb } from '../influxdb-server.ts'
import { findConsul } from '../lock-servers.ts'
import { comesUp } from '../services.ts'
import { recordingProxy, type Recorded, type RecordingProxy } from './recording-proxy.ts'

const consul = await findConsul()
const influx = await findInfluxdb()
after(async () => {
  await consul?.stop()
  await influx?.stop()
})

const request = {
  name: 'example',
  holder: 'somebody',
  token: null,
  ttlMs: 20_000,
  host: 'machine.example',
  pid: 4_711,
} as const

async function proxyTo(t: TestContext, server: string): Promise<RecordingProxy> {
  const proxy = await recordingProxy(server)
  t.after(() => proxy.close())
  return proxy
}

/** The ids of sessions. */
const ids = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

function shown({ line, body }: Recorded): string {
  return `${line} ${body}`.trimEnd().replaceAll(ids, '<session>')
}

/** Checks that the times of a record are one time, and puts words in their places. */
function withoutTimes(text: string): string {
  const [record = ''] = /\{"fqdn".*\}/.exec(text) ?? []
  if (record === '') return text
  const { timestamp, time_utc, time_local } = JSON.parse(record) as Record<string, unknown>
  assert.ok(typeof timestamp === 'number' && Number.isInteger(timestamp))
  assert.ok(Math.abs(timestamp - Date.now() / 1_000) < 60)
  assert.equal(Date.parse(`${String(time_utc).replace(' ', 'T')}Z`), timestamp * 1_000)
  assert.equal(Date.parse(String(time_local).replace(' ', 'T')), timestamp * 1_000)
  return text
    .replace(`:${timestamp},`, ':<seconds>,')
    .replace(`"time_utc":"${String(time_utc)}"`, '"time_utc":"<utc>"')
    .replace(`"time_local":"${String(time_local)}"`, '"time_local":"<local>"')
}

const created =
  'PUT /v1/session/create {"Name":"errand example","TTL":"10000ms","LockDelay":"1000ms","Behavior":"release","NodeChecks":[],"Checks":[]}'
const record =
  '{"fqdn":"machine.example","timestamp":<seconds>,"time_utc":"<utc>","time_local":"<local>","pid":4711}'

void describe('Consul', { skip: consul === null }, () => {
  const server = consul?.url ?? ''
  const raw = async (path: string): Promise<string> => (await fetch(`${server}${path}`)).text()
  const put = async (path: string, body = ''): Promise<string> => {
    const answer = await fetch(`${server}${path}`, { method: 'PUT', body })
    return answer.text()
  }

  test('a lock is acquired, renewed, released and its session destroyed by these requests', async (t) => {
    const proxy = await proxyTo(t, server)
    const locks = consulLocks({ url: proxy.url, key: 'jobs/{name}/lock' })
    t.after(() => locks.close())
    const taken = await locks.hold(request)
    assert.equal(taken.status, 'held')
    assert.equal((await locks.hold({ ...request, token: taken.token })).status, 'held')
    const holding = { name: 'example', holder: 'somebody', token: taken.token }
    assert.equal(await locks.release(holding), 'released')
    const lines = proxy.requests.map(shown).map(withoutTimes)
    assert.deepEqual(
      lines.filter((line) => line.startsWith('PUT')),
      [
        created,
        `PUT /v1/kv/jobs/example/lock?acquire=<session> ${record}`,
        'PUT /v1/session/renew/<session>',
        'PUT /v1/kv/jobs/example/lock?release=<session>',
        'PUT /v1/session/destroy/<session>',
      ],
    )
    assert.deepEqual(
      [...new Set(lines.filter((line) => !line.startsWith('PUT')))],
      ['GET /v1/kv/jobs/example/lock?consistent='],
    )
    // One session from the first to the last.
    const used = proxy.requests.flatMap(({ line }) => line.match(ids) ?? [])
    assert.equal(new Set(used).size, 1)
    assert.equal(await raw('/v1/kv/jobs/example/lock?raw'), '')
    assert.deepEqual(JSON.parse(await raw('/v1/session/list')), [])
  })

  test('a key that Jobslib holds is not taken, its record is read, and it is taken once Jobslib lets go', async (t) => {
    const proxy = await proxyTo(t, server)
    const locks = consulLocks({ url: proxy.url, key: 'jobs/shared/lock' })
    t.after(() => locks.close())
    // As Jobslib writes it: a session with these two fields, and JSON with spaces.
    const session = JSON.parse(
      await put('/v1/session/create', '{"lockdelay":"1s","ttl":"20s"}'),
    ) as { readonly ID: string }
    const text =
      '{"fqdn": "old.example", "timestamp": 1790000000, "time_utc": "2026-09-21 14:13:20", "time_local": "2026-09-21 16:13:20"}'
    assert.equal((await put(`/v1/kv/jobs/shared/lock?acquire=${session.ID}`, text)).trim(), 'true')
    const owner = { host: 'old.example', pid: null, since: 1_790_000_000_000, token: null }
    const refused = await locks.hold(request)
    assert.equal(refused.status, 'taken')
    assert.deepEqual({ ...refused.owner, token: null }, owner)
    assert.deepEqual({ ...(await locks.lockOwner('example')), token: null }, owner)
    assert.equal(await raw('/v1/kv/jobs/shared/lock?raw'), text)
    await put(`/v1/kv/jobs/shared/lock?release=${session.ID}`, '')
    await comesUp('the lock', async () => assert.equal((await locks.hold(request)).status, 'held'))
    await put(`/v1/session/destroy/${session.ID}`)
  })

  test('each session that did not get the key is destroyed', async (t) => {
    const proxy = await proxyTo(t, server)
    const rivals = Array.from({ length: 10 }, () =>
      consulLocks({ url: proxy.url, key: 'jobs/raced/lock' }),
    )
    t.after(() => Promise.all(rivals.map((rival) => rival.close())))
    const answers = await Promise.all(
      rivals.map((rival, i) => rival.hold({ ...request, holder: `rival ${i}` })),
    )
    assert.equal(answers.filter(({ status }) => status === 'held').length, 1)
    const lines = proxy.requests.map(shown)
    const count = (start: string): number => lines.filter((line) => line.startsWith(start)).length
    const begun = count('PUT /v1/session/create')
    assert.ok(begun > 1)
    assert.equal(count('PUT /v1/session/destroy'), begun - 1)
  })

  test('a beat is written by this request, and a TTL check is registered once and passed each time', async (t) => {
    const proxy = await proxyTo(t, server)
    const key = 'jobs/{name}/liveness'
    const liveness = consulLiveness({ url: proxy.url, key, checkTtl: '1m' })
    t.after(() => liveness.close())
    const beat = { singleton: 'example', kind: 'success', host: 'machine.example' } as const
    await liveness.write({ ...beat, at: Date.now() })
    await liveness.write({ ...beat, at: Date.now() })
    await liveness.write({ ...beat, kind: 'alive', at: Date.now() })
    const own = record.replace('4711', String(process.pid))
    const passed = 'PUT /v1/agent/check/pass/errand-example'
    assert.deepEqual(proxy.requests.map(shown).map(withoutTimes), [
      `PUT /v1/kv/jobs/example/liveness ${own}`,
      'PUT /v1/agent/check/register {"ID":"errand-example","Name":"singleton example","Notes":"passes while its runs succeed","TTL":"60000ms"}',
      passed,
      `PUT /v1/kv/jobs/example/liveness ${own}`,
      passed,
      `PUT /v1/kv/jobs/example/liveness/alive ${own}`,
    ])
  })

  test("a record of Jobslib's liveness is read", async (t) => {
    const liveness = consulLiveness({ url: server, key: 'jobs/old/liveness' })
    t.after(() => liveness.close())
    const text =
      '{"fqdn": "old.example", "timestamp": 1790000000, "time_utc": "2026-09-21 14:13:20", "time_local": "2026-09-21 16:13:20"}'
    await put('/v1/kv/jobs/old/liveness', text)
    assert.deepEqual(await liveness.read('example'), {
      success: { at: 1_790_000_000_000, host: 'old.example' },
      alive: null,
    })
  })
})

void describe('InfluxDB', { skip: influx === null }, () => {
  const server = influx?.url ?? ''
  const ask = async (query: string, method = 'GET'): Promise<string> => {
    const search = new URLSearchParams({ db: 'wire', epoch: 'ns', q: query })
    return (await fetch(`${server}/query?${search.toString()}`, { method })).text()
  }

  /** Runs a singleton once, and answers the requests that its metrics made. */
  async function requestsOf(
    t: TestContext,
    run: (run: SingletonRun) => void,
  ): Promise<readonly Recorded[]> {
    await ask('CREATE DATABASE wire', 'POST')
    const proxy = await proxyTo(t, server)
    const example = singleton({
      name: 'an example',
      once: true,
      lock: 'none',
      liveness: [],
      metrics: influxdb({ url: proxy.url, database: 'wire', user: 'root', password: 'root' }),
      run,
    })
    const errand = createErrand({ store: memory(), singletons: [example] })
    await errand.singletons.run('an example', { signal: new AbortController().signal })
    await errand.close()
    return proxy.requests
  }

  /** Lines of the protocol, checked and without their times and values. */
  function linesOf(requests: readonly Recorded[], from: number): readonly string[] {
    const nanoseconds = new Set<string>()
    return requests.flatMap(({ line, headers, body }) => {
      assert.equal(line, 'POST /write?db=wire&precision=ns')
      assert.equal(headers.authorization, `Basic ${Buffer.from('root:root').toString('base64')}`)
      return body.split('\n').map((text) => {
        const [, what = '', value = '', time = ''] = /^(.+) value=(\S+) (\d{19})$/.exec(text) ?? []
        assert.ok(!nanoseconds.has(time), `${time} twice`)
        nanoseconds.add(time)
        const ms = Number(BigInt(time) / 1_000_000n)
        assert.ok(ms >= from && ms <= Date.now() + 1, text)
        if (what.startsWith('last_successful_run_timestamp')) {
          assert.match(value, /^\d{10}$/)
          assert.ok(Math.abs(Number(value) - ms / 1_000) <= 1, text)
        } else assert.match(value, /^\d+(?:\.\d+)?(?:e-\d+)?$/)
        return `${what} value=<value> <nanoseconds>`
      })
    })
  }

  test('a round that succeeded is two lines with nanoseconds, beside those of its own, and the server holds them', async (t) => {
    const from = Date.now()
    const requests = await requestsOf(t, ({ metric }) =>
      metric('rows moved', 12.5, { region: 'eu west', task_of: 'a=b' }),
    )
    assert.deepEqual(linesOf(requests, from), [
      String.raw`rows\ moved,region=eu\ west,task=an\ example,task_of=a\=b value=<value> <nanoseconds>`,
      String.raw`job_duration_seconds,status=succeeded,task=an\ example,type=task value=<value> <nanoseconds>`,
      String.raw`last_successful_run_timestamp,task=an\ example value=<value> <nanoseconds>`,
    ])
    const held = await ask('SELECT * FROM /.*/')
    const [time = ''] = /\d{19}/.exec(requests[0]?.body ?? '') ?? []
    assert.ok(held.includes(time), held)
    assert.ok(held.includes('12.5'), held)
  })

  test('a round that failed is one line, and a tag called task loses no other point', async (t) => {
    const from = Date.now()
    const requests = await requestsOf(t, ({ metric }) => {
      metric('good', 1)
      metric('bad', 1, { task: 'mine' })
    })
    assert.deepEqual(linesOf(requests, from), [
      String.raw`good,task=an\ example value=<value> <nanoseconds>`,
      String.raw`job_duration_seconds,status=failed,task=an\ example,type=task value=<value> <nanoseconds>`,
    ])
  })
})

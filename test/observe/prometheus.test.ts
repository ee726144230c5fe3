/** The metrics as a real Prometheus reads them, and what is sold with them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { createErrand, task, Postpone } from 'errand'
import { listen, manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { prometheus } from 'errand/prometheus'
import { hubOf } from '../../src/observe/hub-of.ts'
import { metricNames } from '../../src/observe/prometheus/names.ts'
import { findPrometheus, promtool, startPrometheus } from '../prometheus-server.ts'
import { comesUp } from '../services.ts'

const root = join(import.meta.dirname, '../..')
const rules = join(root, 'monitoring/alerts.yml')
const found = findPrometheus()

/** An app whose worker has seen some of everything, with names that need care in a text. */
async function busy() {
  const odd = 'mail "to" \\ all'
  let postponed = false
  const errand = createErrand({
    store: memory(),
    queues: { '*': {} },
    tasks: [
      task({ name: odd, queue: 'odd "queue"', run: (n: number) => n }),
      task({ name: 'fails', retry: 'never', run: () => Promise.reject(new Error('no')) }),
      task({
        name: 'later',
        postpone: { delay: 5 },
        run: () => {
          if (postponed) return
          postponed = true
          throw new Postpone()
        },
      }),
    ],
  })
  const metrics = prometheus(errand)
  await errand.worker({ slots: 7 }).start()
  const jobs = await errand.enqueueMany([
    [odd, 1],
    [odd, 2],
    ['fails', null],
    ['later', null],
  ])
  await Promise.allSettled(jobs.map((job) => job.result({ timeout: '20s' })))
  await errand.enqueue(odd, 3, { delay: '1h' })
  return { errand, metrics, odd }
}

test('promtool finds nothing to say of the text', { skip: found === null }, async () => {
  assert.ok(found)
  const { errand, metrics } = await busy()
  try {
    const text = await metrics.text()
    assert.equal(await promtool(found.tool, ['check', 'metrics'], text), '')
    for (const name of ['errand_jobs', 'errand_attempts_total', 'errand_slots', 'errand_store_up'])
      assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'))
  } finally {
    metrics.stop()
    await errand.close()
  }
})

test(
  'a real Prometheus scrapes a manager, and reads what happened',
  { skip: found === null },
  async () => {
    assert.ok(found)
    const { errand, odd, metrics: own } = await busy()
    own.stop()
    const server = await listen(manager(errand, { access: 'open' }), { port: 0 })
    // From the first call on everything is counted.
    assert.equal((await fetch(`${server.url}/metrics`)).status, 200)
    const again = await errand.enqueue(odd, 4)
    await again.result({ timeout: '20s' })
    const address = new URL(server.url).host
    const scraper = await startPrometheus(found.server, { address, path: '/metrics', rules })
    try {
      const queue = 'odd "queue"'
      await comesUp('the scrape', async () => {
        const jobs = await scraper.query(`errand_jobs{state=~"completed|scheduled",queue=~"odd.*"}`)
        assert.equal(jobs.get(JSON.stringify({ queue, state: 'scheduled' })), 1)
        assert.equal(jobs.get(JSON.stringify({ queue, state: 'completed' })), 3)
      })
      const attempts = await scraper.query('errand_attempts_total')
      assert.equal(attempts.get(JSON.stringify({ outcome: 'completed', queue, task: odd })), 1)
      const waits = await scraper.query('errand_job_wait_seconds_count')
      assert.equal(waits.get(JSON.stringify({ queue, task: odd })), 1)
      const { data } = (await scraper.get('/api/v1/rules')) as { data: { groups: Group[] } }
      const names = data.groups.flatMap((group) => group.rules.map(({ name }) => name))
      assert.equal(names.length, 6)
    } finally {
      await scraper.stop()
      await server.close({ grace: 0 })
      await errand.close()
    }
  },
)

interface Group {
  readonly rules: readonly { readonly name: string }[]
}

test('promtool takes the alert rules', { skip: found === null }, async () => {
  assert.ok(found)
  const said = await promtool(found.tool, ['check', 'rules', rules])
  assert.equal(said, '')
})

test('alert rules and board ask for metrics that there are, and the board shows all of them', () => {
  const board = readFileSync(join(root, 'monitoring/grafana-board.json'), 'utf8')
  const alerts = readFileSync(rules, 'utf8')
  const bare = (name: string): string => name.replace(/_(?:bucket|sum|count)$/, '')
  const asked = (text: string): Set<string> =>
    new Set([...text.matchAll(/errand_[a-z_]+/g)].map(([name]) => bare(name)))
  for (const name of [...asked(board), ...asked(alerts)])
    assert.ok(metricNames.includes(name), name)
  assert.deepEqual(
    metricNames.filter((name) => !asked(board).has(name)),
    [],
  )
  assert.equal([...alerts.matchAll(/- alert:/g)].length, 6)
})

test('labels are bounded: of 100,000 queues 200 have a name, and a scrape stays small', async () => {
  const errand = createErrand({ store: memory() })
  const metrics = prometheus(errand)
  try {
    const facts = { worker: 'w', id: 'x', task: 't', attempt: 1, error: undefined, againMs: null }
    const times = { outcome: 'completed', durationMs: 3, waitMs: 1, totalMs: 4 } as const
    for (let n = 0; n < 100_000; n++)
      hubOf(errand).emit('run-ended', { ...facts, ...times, queue: `queue-${n}` })
    const text = await metrics.text()
    const counts = [...text.matchAll(/^errand_attempts_total\{queue="([^"]*)".*\} (\d+)$/gm)]
    assert.equal(counts.length, 201)
    assert.equal(counts.find(([, queue]) => queue === 'other')?.[2], '99800')
    assert.ok(text.length < 5_000_000, `${text.length} characters`)
  } finally {
    metrics.stop()
    await errand.close()
  }
})

test('of a store with 100,000 queues those with most jobs are named, each series once', async () => {
  const store = memory()
  const errand = createErrand({ store })
  const metrics = prometheus(errand)
  const names = ['other', ...Array.from({ length: 100_000 }, (_, n) => `queue-${n}`)]
  store.stats = async () =>
    names.map((queue, n) => ({ queue, counts: { ready: n + 1 }, oldestReadyAt: null }))
  try {
    const text = await metrics.text()
    const series = [...text.matchAll(/^(errand_jobs\{.*state="ready"\}) (\d+)$/gm)]
    assert.equal(series.length, 201)
    assert.equal(new Set(series.map(([, name]) => name)).size, 201)
    const all = series.reduce((sum, [, , count]) => sum + Number(count), 0)
    assert.equal(all, (100_001 * 100_002) / 2)
  } finally {
    metrics.stop()
    await errand.close()
  }
})

test('while the store is away the rest is shown, and the answer comes in time', async () => {
  const store = memory()
  const errand = createErrand({ store })
  const metrics = prometheus(errand)
  try {
    store.stats = () => Promise.reject(new Error('away'))
    assert.match(await metrics.text(), /^errand_store_up 0$/m)
    store.stats = () => new Promise(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const text = await metrics.text()
    assert.match(text, /^errand_store_up 0$/m)
    assert.match(text, /^errand_event_loop_lag_seconds /m)
  } finally {
    metrics.stop()
    await errand.close()
  }
})

test('a scaler reads how much work is due, of one queue or of all', async () => {
  const errand = createErrand({ store: memory(), queues: { '*': {} } })
  const { fetch: ask } = manager(errand, { access: 'open' })
  const scale = async (query: string): Promise<Record<string, number>> => {
    const answer = await ask(new Request(`http://local/metrics/scale${query}`))
    assert.equal(answer.status, 200)
    return (await answer.json()) as Record<string, number>
  }
  try {
    assert.deepEqual(await scale(''), { value: 0, ready: 0, running: 0, oldestReadySeconds: 0 })
    const mail = task({ name: 'mail', queue: 'mail', run: () => undefined })
    await errand.enqueueMany([
      [mail, undefined],
      [mail, undefined],
      [mail, undefined, { queue: 'bulk' }],
      [mail, undefined, { delay: '1h' }],
    ])
    assert.equal((await scale('?queue=mail'))['value'], 2)
    assert.equal((await scale(''))['value'], 3)
    assert.equal((await scale('?queue=none'))['value'], 0)
  } finally {
    await errand.close()
  }
})

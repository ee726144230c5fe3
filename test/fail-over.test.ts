/**
 * What becomes of producers, workers, renewers and listeners when the server behind their address is another one all at once, or
 * the way to it swallows everything for a while: they are back within seconds, and nothing that was acknowledged is lost.
 */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task, type Errand } from 'errand'
import { postgres } from 'errand/postgres'
import { startPair, type Fate } from './postgres-pair.ts'
import { canStartPostgres, startPostgres } from './postgres-server.ts'
import { tcpProxy, type TcpProxy } from './tcp-proxy.ts'

const backWithinMs = 5_000
const patienceMs = 30_000
const silenceMs = 6_000

/** Makes itself known by what it was given. */
const brief = task({ name: 'brief', run: (n: number) => n })

interface Crew {
  /** A producer and a worker, each with connections of its own through the proxy. */
  readonly producer: Errand
  readonly worker: Errand
  /** Ids of all jobs that were acknowledged. */
  readonly acknowledged: string[]
  /** Resolves when the producer, the worker, its renewer and its listener are seen to work; answers how long each took. */
  back(direct: string): Promise<Readonly<Record<string, number>>>
  /** Lets the long job end, and waits until all that was acknowledged is done. */
  end(): Promise<void>
}

async function crewOn(t: TestContext, proxy: TcpProxy): Promise<Crew> {
  const url = `postgres://postgres@127.0.0.1:${proxy.port}/postgres`
  const { promise: open, resolve: release } = Promise.withResolvers<void>()
  let longRuns = 0
  const long = task({
    name: 'long',
    timeout: '1h',
    run: async () => {
      longRuns += 1
      await open
      return 'lived'
    },
  })
  const tasks = [brief, long]
  const [producer, worker] = [1, 2].map(() =>
    createErrand({ store: postgres(url), tasks, lease: '3s', poll: '1h' }),
  ) as [Errand, Errand]
  const acknowledged: string[] = []
  const working = worker.worker()
  const hints: string[] = []
  await working.start()
  worker.store.watch((hint) => hints.push(hint))
  const { id: longId } = await producer.enqueue(long)
  acknowledged.push(longId)
  await holds('the long job to run', async () => (await producer.jobs.get(longId))?.startedAt)
  // Calls are under way all along, so that some of them are caught by what happens.
  const stop = new AbortController()
  const feeding = Promise.all(
    [1, 2, 3].map(async () => {
      for (let n = 0; !stop.signal.aborted; n += 1) {
        await producer.enqueue(brief, n).then(
          ({ id }) => acknowledged.push(id),
          () => sleep(50),
        )
      }
    }),
  )
  t.after(async () => {
    release()
    stop.abort()
    await Promise.all([feeding, working.stop({ grace: 0, abortGrace: 0 })])
    await Promise.all([producer.close(), worker.close()])
  })
  return {
    producer,
    worker,
    acknowledged,
    async back(direct) {
      const other = createErrand({ store: postgres(direct), tasks })
      const from = performance.now()
      const tookMs = async (what: string, look: () => Promise<unknown>): Promise<number> => {
        await holds(what, look)
        return Math.round(performance.now() - from)
      }
      const leaseUntil = async (): Promise<number> =>
        (await other.jobs.get(longId))?.leaseUntil?.getTime() ?? 0
      try {
        const before = await leaseUntil()
        const marks: string[] = []
        const [produced, worked, renewed, heard] = await Promise.all([
          tookMs('the producer', async () =>
            acknowledged.push((await producer.enqueue(brief, 1)).id),
          ),
          tookMs('the worker', async () =>
            (await other.enqueue(brief, 2)).result({ timeout: '4s' }),
          ),
          tookMs('a renewal', async () => (await leaseUntil()) > before),
          tookMs('a hint', async () => {
            hints.length = 0
            await other.store.pause([`nobody-${marks.push('')}`])
            await sleep(100)
            return hints.includes('paused')
          }),
        ])
        return { produced, worked, renewed, heard }
      } finally {
        await other.close()
      }
    },
    async end() {
      stop.abort()
      await feeding
      release()
      await holds('all to be done', async () => {
        for (let from = 0; from < acknowledged.length; from += 200) {
          const jobs = await Promise.all(
            acknowledged.slice(from, from + 200).map((id) => producer.jobs.get(id)),
          )
          assert.ok(!jobs.includes(null), 'a job that was acknowledged is lost')
          if (!jobs.every((job) => job?.state === 'completed')) return false
        }
        return true
      })
      assert.equal(longRuns, 1)
      assert.equal((await producer.jobs.get(longId))?.losses, 0)
    },
  }
}

if (canStartPostgres()) {
  test('PostgreSQL: after a fail-over everybody is back within five seconds, and nothing acknowledged is lost', async (t) => {
    const pair = await startPair({})
    const proxy = await tcpProxy(pair.primary.port)
    t.after(async () => {
      await proxy.close()
      await pair.stop()
    })
    const crew = await crewOn(t, proxy)
    for (const fate of ['gone', 'read-only'] as const satisfies readonly Fate[]) {
      await sleep(500)
      await pair.failOver(fate)
      proxy.aim(pair.primary.port)
      isTimely(t, fate, await crew.back(pair.primary.url))
      if (fate === 'gone') await pair.mend()
    }
    await crew.end()
  })

  test('PostgreSQL: after a silence of the network everybody is back within five seconds', async (t) => {
    const server = await startPostgres({})
    const proxy = await tcpProxy(server.port)
    t.after(async () => {
      await proxy.close()
      await server.stop()
    })
    const crew = await crewOn(t, proxy)
    proxy.fallSilent()
    await sleep(silenceMs)
    proxy.recover()
    isTimely(t, 'silence', await crew.back(server.url))
    await crew.end()
  })
}

function isTimely(t: TestContext, what: string, tookMs: Readonly<Record<string, number>>): void {
  t.diagnostic(`${what}: back after ${JSON.stringify(tookMs)} ms`)
  for (const [who, ms] of Object.entries(tookMs))
    assert.ok(ms <= backWithinMs, `${what}: ${who} took ${ms} ms`)
}

async function holds(what: string, look: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + patienceMs
  while (
    !(await look().catch((error: unknown) => (isAway(error) ? false : Promise.reject(error))))
  ) {
    if (performance.now() > end) throw new Error(`${what}: not within ${patienceMs} ms`)
    await sleep(20)
  }
}

/** Whether a call may be made again: the server was away, or its answer was. */
function isAway(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null
  return code === 'store-unavailable' || code === 'unknown-outcome' || code === 'timeout'
}

/** What it costs to stand behind a manager: a drain, the wait for a result, and those who wait for work. */
import { connect, type Socket } from 'node:net'
import { http } from 'errand/http'
import { appOn, checkResults, fileOf, openApp, type AppOptions } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { prepare } from '../kit/fixtures.ts'
import { mail } from '../kit/job.ts'
import { ManagerProcess } from '../kit/manager.ts'
import { percentile } from '../kit/numbers.ts'
import { slept, ticks } from '../kit/ticks.ts'
import type { Figures, Setting } from '../workload.ts'

/** Jobs drained each second by one worker whose store a manager holds. */
export async function remoteDrain(
  setting: Setting,
  jobs: number,
  options: AppOptions,
): Promise<Figures> {
  await prepare(setting, { waiting: jobs })
  const manager = await ManagerProcess.start(`sqlite:${fileOf(setting)}`)
  const drain = new Drain((ran) => appOn(http({ url: manager.url }), ran, options), jobs)
  await drain.start()
  const settledAt = await drain.settled(jobs)
  await drain.stop()
  drain.ledger.check()
  await checkResults(drain.app, jobs)
  await drain.close()
  await manager.stop()
  return { rate: (jobs / (settledAt - drain.startedAt)) * 1_000 }
}

/** From the call of `enqueue` to its result, one after the other, with a worker in this process on the file itself. */
export async function waits(
  setting: Setting,
  count: number,
  way: 'local' | 'http',
): Promise<Figures> {
  const working = openApp(setting)
  await working.errand.worker().start()
  const manager = way === 'http' ? await ManagerProcess.start(`sqlite:${fileOf(setting)}`) : null
  const waiting =
    manager === null ? openApp(setting) : appOn(http({ url: manager.url }), () => {}, {})
  const ms: number[] = []
  for (let n = 0; n < count; n++) {
    const since = ticks()
    const job = await waiting.errand.enqueue(waiting.task, mail(n))
    await job.result({ timeout: '30s' })
    ms.push(ticks() - since)
  }
  await waiting.errand.close()
  await working.errand.close()
  await manager?.stop()
  return { p50: percentile(ms, 0.5), p99: percentile(ms, 0.99) }
}

const settleMs = 3_000

/** What a manager holds in memory while so many wait, by claims that wait or by streams of hints, and what it held before. */
export async function waiters(
  setting: Setting,
  count: number,
  kind: 'claims' | 'streams',
): Promise<Figures> {
  const manager = await ManagerProcess.start(`sqlite:${fileOf(setting)}`)
  const { hostname, port } = new URL(manager.url)
  const body = JSON.stringify({ tasks: ['mail'], queues: ['default'], wait: 30 })
  const request =
    kind === 'claims'
      ? `POST /v1/work/claim HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      : `GET /v1/store/watch HTTP/1.1\r\nhost: ${hostname}:${port}\r\n\r\n`
  const before = manager.residentMiB
  const openBefore = manager.openFiles
  const sockets: Socket[] = []
  let answered = 0
  for (let n = 0; n < count; n++) {
    const socket = connect({ host: hostname, port: Number(port) })
    socket.on('error', () => undefined)
    socket.on('data', () => (answered += 1))
    socket.write(request)
    sockets.push(socket)
    // No more at once than a server's queue of connections takes.
    if (n % 100 === 99) await slept(20)
  }
  // On a busy machine the last of them are let in late.
  const open = (): number => manager.openFiles - openBefore
  for (let tries = 0; open() < count && tries < 600; tries++) await slept(100)
  if (open() < count) throw new Error(`${open()} of ${count} were let in`)
  await slept(settleMs)
  const held = manager.residentMiB
  const isAnswered = answered > 0
  if (isAnswered !== (kind === 'streams')) throw new Error(`${answered} of ${count} were answered`)
  for (const socket of sockets) socket.destroy()
  await manager.stop()
  return { held, before }
}

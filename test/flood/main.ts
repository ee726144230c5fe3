/**
 * `npm run flood [-- --messages 1000000]`: a source takes what has gathered in a queue of RabbitMQ into a file of SQLite, and the memory of its process
 * stays flat. Exits with 0 when every message became a job and the most that was used is little more than at the beginning.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createErrand, task } from '../../src/index.ts'
import { rabbitmq } from '../../src/sources/rabbitmq/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { startRabbitmq, withModel } from '../rabbitmq-server.ts'

const queue = 'flood'
const megabyte = 1_024 * 1_024
/** What garbage may add between two collections. */
const slackMb = 80
const stallMs = 60_000

const [fillUrl] = process.argv[2] === 'fill' ? process.argv.slice(3) : []
const { values } = parseArgs({
  options: { messages: { type: 'string', default: '1000000' } },
  strict: false,
})
const messages = Number(values['messages'])
if (fillUrl === undefined) await take()
else await fill(fillUrl)

/** In a process of its own, whose memory is not looked at. */
async function fill(url: string): Promise<void> {
  await withModel(url, async (model) => {
    const channel = await model.createConfirmChannel()
    await channel.assertQueue(queue, { durable: true })
    for (let n = 0; n < messages; n++) {
      const body = JSON.stringify({
        job: { name: 'mail', kwargs: { to: `user-${n}@example.org`, n } },
      })
      channel.sendToQueue(queue, Buffer.from(body), { deliveryMode: 2 })
      if (n % 5_000 === 4_999) await channel.waitForConfirms()
    }
    await channel.waitForConfirms()
  })
  process.exit(0)
}

async function take(): Promise<void> {
  const broker = await startRabbitmq()
  const folder = mkdtempSync(join(tmpdir(), 'errand-flood-'))
  const errand = createErrand({
    store: sqlite(join(folder, 'jobs.db')),
    tasks: [task<unknown>({ name: 'mail' })],
    sources: [rabbitmq({ url: broker.url, queues: [queue] })],
  })
  try {
    const args = ['fill', broker.url, '--messages', String(messages)]
    const filling = fork(import.meta.filename, args, { execArgv: ['--conditions=errand-source'] })
    const [code] = (await once(filling, 'exit')) as [number]
    if (code !== 0) throw new Error('the queue could not be filled')
    await errand.store.setup()
    errand.sources.start()
    const { early, most } = await watched(() => errand.sources.status[0]?.stored ?? 0)
    const { stored = 0, known = 0, parked = 0 } = errand.sources.status[0] ?? {}
    const isFlat = most - early <= slackMb
    console.log(
      `${stored} of ${messages} messages stored, ${known} known, ${parked} parked; memory ${early} MB at the beginning, ${most} MB at most: ${isFlat ? 'flat' : 'NOT FLAT'}`,
    )
    process.exitCode = isFlat && stored === messages ? 0 : 1
  } finally {
    await errand.close()
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The most memory of the first tenth, and of all, in MB. */
async function watched(stored: () => number): Promise<{ early: number; most: number }> {
  let [early, most, last, since] = [0, 0, 0, performance.now()]
  while (stored() < messages) {
    if (stored() > last) [last, since] = [stored(), performance.now()]
    if (performance.now() - since > stallMs) break
    most = Math.max(most, Math.round(process.memoryUsage.rss() / megabyte))
    if (stored() < messages / 10) early = most
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { early, most }
}

/** BullMQ on Redis, with the settings that baseline.md found best. */
import { isolatedModule, type Mail } from '../../kit/job.ts'
import { isolatedSlots, type Setup, type Side } from '../side.ts'
import { loadPeer } from './package.ts'

interface BullQueue {
  add(name: string, data: Mail): Promise<unknown>
  addBulk(jobs: readonly { readonly name: string; readonly data: Mail }[]): Promise<unknown>
  waitUntilReady(): Promise<unknown>
  getJobCounts(...states: readonly string[]): Promise<Readonly<Record<string, number>>>
  close(): Promise<void>
}

interface BullWorker {
  on(event: 'error', heard: (error: Error) => void): void
  on(event: 'completed', heard: (job: { readonly data: Mail }) => void): void
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

/** A job with those that it waits for. */
interface BullFlow {
  readonly name: string
  readonly queueName: string
  readonly data: Mail
  readonly children?: readonly BullFlow[]
}

interface BullFlows {
  add(flow: BullFlow): Promise<unknown>
  close(): Promise<void>
}

interface BullMq {
  readonly FlowProducer: new (options: object) => BullFlows
  readonly Queue: new (name: string, options: object) => BullQueue
  readonly Worker: new (
    name: string,
    handler: ((job: { readonly data: Mail }) => Promise<unknown>) | URL,
    options: object,
  ) => BullWorker
}

const concurrency = 100

/** BullMQ with parents that wait for children. */
export interface BullSide extends Side {
  enqueueFamily(parent: Mail, children: readonly Mail[]): Promise<unknown>
}

export async function openBullMq({ url, history, isolate }: Setup): Promise<BullSide> {
  const { FlowProducer, Queue, Worker } = (await loadPeer('bullmq')) as BullMq
  const { hostname, port } = new URL(url)
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }
  const queue = new Queue('mail', { connection })
  let flows: BullFlows | null = null
  const flowOf = (data: Mail): BullFlow => ({ name: 'mail', queueName: 'mail', data })
  return {
    setup: async () => void (await queue.waitUntilReady()),
    enqueue: (mail) => queue.add('mail', mail),
    enqueueMany: (mails) => queue.addBulk(mails.map((data) => ({ name: 'mail', data }))),
    enqueueFamily: (parent, children) => {
      flows ??= new FlowProducer({ connection })
      return flows.add({ ...flowOf(parent), children: children.map(flowOf) })
    },
    waiting: async () => (await queue.getJobCounts('waiting'))['waiting'] ?? NaN,
    work: async (ran) => {
      const handler = async ({ data }: { readonly data: Mail }): Promise<unknown> => {
        ran(data.id)
        return { ok: data.id }
      }
      const none = history === 'none' ? { removeOnComplete: { count: 0 } } : {}
      const worker =
        isolate === undefined
          ? new Worker('mail', handler, { connection, concurrency, ...none })
          : new Worker('mail', isolatedModule, {
              connection,
              concurrency: isolatedSlots,
              useWorkerThreads: isolate === 'thread',
              ...none,
            })
      if (isolate !== undefined) worker.on('completed', ({ data }) => ran(data.id))
      worker.on('error', (error) => console.error(`BullMQ: ${String(error)}`))
      await worker.waitUntilReady()
      return () => worker.close()
    },
    seen: () => null,
    check: async (jobs) => {
      const counts = await queue.getJobCounts('waiting', 'active', 'failed', 'completed')
      const { waiting = NaN, active = NaN, failed = NaN, completed = NaN } = counts
      const kept = history === 'kept' ? jobs : 0
      if (waiting + active + failed !== 0 || completed !== kept)
        throw new Error(`BullMQ should have completed ${jobs} jobs: ${JSON.stringify(counts)}`)
    },
    close: async () => {
      await flows?.close()
      await queue.close()
    },
  }
}

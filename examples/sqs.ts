/** Jobs through Amazon SQS: a producer without a store, a source that makes one job of each message. */
import { startFauxqs } from 'fauxqs'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'
import { sqs, sqsProducer } from 'errand/sqs'

// A stand-in for SQS, in this process.
const server = await startFauxqs({ port: 0, logger: false })
server.createQueue('etl')
const client = {
  endpoint: `http://127.0.0.1:${server.port}`,
  region: 'us-east-1',
  credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
}

// The producer sends the first job twice, as one that is not sure does.
const producer = sqsProducer({ queue: 'etl', client })
const monday = { task: 'extract', input: { day: 'monday' }, id: 'extract-monday' }
await producer.send([monday, monday])
await producer.send([{ task: 'extract', input: { day: 'tuesday' } }])
await producer.close()
// Others may send anything.
server.sendMessage('etl', 'hello')

const errand = createErrand({
  store: memory(),
  tasks: [task({ name: 'extract', run: ({ day }: { day: string }) => `rows of ${day}` })],
  sources: [sqs({ queues: ['etl'], client })],
})
errand.sources.start()
const worker = errand.worker()
await worker.start()

// Four messages: two jobs, one message that is known, and one that makes no sense, kept as a failed job.
for (;;) {
  const { jobs } = await errand.jobs.list({ state: ['completed', 'failed'] })
  const [status] = errand.sources.status
  if (jobs.length === 3 && status?.known === 1) break
  await new Promise((resolve) => setTimeout(resolve, 20))
}
const { jobs } = await errand.jobs.list()
const told = jobs.map(({ state, reason, output }) => `${state} ${(output as string) ?? reason}`)
for (const line of told.toSorted((a, b) => a.localeCompare(b))) console.log(line)
await errand.close()
await server.stop()

// Output:
// completed rows of monday
// completed rows of tuesday
// failed invalid-message

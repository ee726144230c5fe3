/** The same app on Redis: only the store is another. Two programs would share jobs, unique keys and pauses. */
// Needs: redis
import { createErrand, task } from 'errand'
import { redis } from 'errand/redis'

const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'

const thumbnail = task({
  name: 'thumbnail',
  unique: true,
  run: async ({ path }: { path: string }) => ({ saved: path.replace('.png', '.thumb.png') }),
})

const producer = createErrand({ store: redis(url, { prefix: 'example' }), tasks: [thumbnail] })
const consumer = createErrand({ store: redis(url, { prefix: 'example' }), tasks: [thumbnail] })

const job = await producer.enqueue(thumbnail, { path: 'cat.png' })
const again = await producer.enqueue(thumbnail, { path: 'cat.png' })
console.log(job.inserted, again.inserted, again.id === job.id)

await consumer.worker().start()
console.log(await job.result())

// Redis has no transactions that a job could join.
await producer
  .enqueue(thumbnail, { path: 'dog.png' }, { tx: {} })
  .catch((error: { code: string }) => console.log(error.code))

await consumer.close()
await producer.close()

// Output:
// created duplicate true
// { saved: 'cat.thumb.png' }
// tx-unsupported

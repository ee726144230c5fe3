/** Enqueues in batches and runs all of it, on one durability; prints how many batches were acknowledged. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand } from '../../src/errand.ts'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

const durability = process.argv[2] === 'power' ? 'power' : 'process'
const folder = mkdtempSync(join(tmpdir(), 'errand-durability-'))
const store = sqlite(join(folder, 'errand.db'), { durability })
let acknowledged = 0
const counting = new Proxy(store, {
  get(target, name) {
    const member: unknown = Reflect.get(target, name)
    if (name !== 'insert' && name !== 'settle') return member
    return async (...args: readonly unknown[]): Promise<unknown> => {
      const answer = await (member as (...given: readonly unknown[]) => Promise<unknown>)(...args)
      if ((args[0] as readonly unknown[]).length > 0) acknowledged++
      return answer
    }
  },
})
const noop = task({ name: 'noop', run: (n: number) => n })
const errand = createErrand({ store: counting, tasks: [noop] })
await errand.worker().start()
for (let round = 0; round < 50; round++) {
  const jobs = await errand.enqueueMany(Array.from({ length: 20 }, (_, n) => [noop, n] as const))
  await Promise.all(jobs.map((job) => job.result()))
}
await errand.close()
rmSync(folder, { recursive: true, force: true })
process.stdout.write(`${acknowledged}\n`)

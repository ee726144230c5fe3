/** A worker process of the proof, which may be killed before or after a call of its store. */
import { appendFileSync } from 'node:fs'
import { constant, createErrand, task } from '../../src/index.ts'
import type { Store } from '../../src/store/store.ts'
import { leaseMs, openStore, type Family, type Line, type Part } from './part.ts'

const part = JSON.parse(process.argv[2] ?? '') as Part

const child = task({
  name: 'child',
  losses: 'none',
  run: (of: { parent: string; child: number }, { id }) => {
    const line: Line = { ...of, id }
    appendFileSync(part.ledger, `${JSON.stringify(line)}\n`)
    return of.child
  },
})

/** Half of its calls one after the other, the rest together. */
const parent = task({
  name: 'parent',
  losses: part.losses,
  retry: { limit: 'none', backoff: constant(100) },
  run: async ({ children }: Family, job) => {
    let sum = 0
    const half = children >> 1
    for (let n = 0; n < half; n++) sum += await job.call(child, { parent: job.id, child: n })
    const rest = Array.from({ length: children - half }, (_, n) =>
      job.call(child, { parent: job.id, child: half + n }, { id: `child ${half + n}` }),
    )
    for (const one of await Promise.all(rest)) sum += one
    return sum
  },
})

/** Kills the process around the call that its fate names. */
function fated(store: Store): Store {
  const { fate } = part
  if (fate === null) return store
  let calls = 0
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value as (...args: unknown[]) => unknown
      if (name !== fate.call) return method.bind(target)
      return async (...args: unknown[]) => {
        const isIt = ++calls === fate.on
        if (isIt && fate.when === 'before') process.kill(process.pid, 'SIGKILL')
        const answer = await method.apply(target, args)
        if (isIt) process.kill(process.pid, 'SIGKILL')
        return answer
      }
    },
  })
}

const errand = createErrand({
  store: fated(openStore(part.store)),
  tasks: [parent, child],
  lease: leaseMs,
  slots: part.slots,
})
const worker = errand.worker()
process.on('message', () => {
  void worker
    .stop()
    .then(() => errand.close())
    .then(() => process.disconnect?.())
})
await worker.start()

/**
 * A process of the proof: a worker, or one that starts runs. It may be killed before or after a call
 * of its store.
 */
import { openStore } from '../../src/cli/open-store.ts'
import { createErrand } from '../../src/index.ts'
import type { CallName } from '../../src/store/calls.ts'
import type { Store } from '../../src/store/store.ts'
import { makeFlow, type Run } from './flow.ts'

/** Where a process is killed: around the n-th call of one kind. */
export interface Deadly {
  readonly call: CallName
  readonly when: 'before' | 'after'
  readonly on: number
}

export interface Part {
  readonly role: 'worker' | 'starter' | 'retrier'
  readonly store: string
  readonly ledger: string
  readonly healed: string
  readonly leaseMs: number
  readonly deadly: Deadly | null
  /** What a starter starts, or a retrier retries. */
  readonly runs: readonly Run[]
}

const part = JSON.parse(process.argv[2] ?? '') as Part
const { node, flow } = makeFlow(part.ledger, part.healed)

function fated(store: Store): Store {
  const { deadly } = part
  if (deadly === null) return store
  let calls = 0
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value as (...args: unknown[]) => unknown
      if (name !== deadly.call) return method.bind(target)
      return async (...args: unknown[]) => {
        calls += 1
        const isIt = calls === deadly.on
        if (isIt && deadly.when === 'before') process.kill(process.pid, 'SIGKILL')
        const answer = await method.apply(target, args)
        if (isIt) process.kill(process.pid, 'SIGKILL')
        return answer
      }
    },
  })
}

// Who directs it may be gone.
process.on('disconnect', () => process.exit(0))

const errand = createErrand({
  store: fated(await openStore(part.store)),
  tasks: [node],
  workflows: [flow],
  lease: part.leaseMs,
  slots: 8,
})
switch (part.role) {
  case 'worker': {
    const worker = errand.worker()
    process.on('message', () => {
      void worker
        .stop()
        .then(() => errand.close())
        .then(() => process.disconnect?.())
    })
    await worker.start()
    process.send?.('up')
    break
  }
  case 'starter':
    for (const run of part.runs) await errand.start(flow, run, { id: run.id })
    await errand.close()
    process.disconnect?.()
    break
  case 'retrier':
    for (const { id } of part.runs) await errand.workflows.retry(id)
    await errand.close()
    process.disconnect?.()
    break
}

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { App } from '../app/app.ts'
import { task } from '../core/task.ts'
import { memory } from '../stores/memory/index.ts'
import { claimOf, newJob } from '../testing/conformance/jobs.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { Contact } from './contact.ts'
import { Rescuer } from './rescuer.ts'

/** A rescuer in long contact with a store that holds a job whose lease is over. */
async function made(t: TestContext, keepsLeases: () => boolean) {
  const clock = new VirtualClock()
  const store = memory({ clock })
  const app = new App({ store, tasks: [task({ name: 'task', run: () => 1 })] }, process.cwd())
  await store.insert([newJob()])
  await store.claim(claimOf({ leaseMs: 1_000 }))
  await clock.advance(2_000)
  const contact = new Contact(app.leaseMs, () => clock.now())
  for (let n = 0; n < 3; n++) {
    contact.heard()
    await clock.advance(5_000)
  }
  const rescued: string[] = []
  const settle = async ({ task: name }: { readonly task: string }): Promise<null> => {
    rescued.push(name)
    return null
  }
  const options = { app, worker: 'w', tasks: ['task'], contact, keepsLeases, settle }
  const rescuer = new Rescuer(options)
  rescuer.loop.start()
  t.after(async () => {
    await rescuer.stop()
    await store.close()
  })
  /** A heartbeat says that there is something to rescue. */
  const told = async (): Promise<readonly string[]> => {
    rescuer.told({ sweepDue: true })
    for (let n = 0; n < 20; n++) await turn()
    return rescued
  }
  return { told }
}

test('a process rescues nobody while it cannot keep its own leases', async (t) => {
  let keeps = false
  const { told } = await made(t, () => keeps)
  assert.deepEqual(await told(), [])
  keeps = true
  assert.deepEqual(await told(), ['task'])
})

import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task, type Errand } from '../../index.ts'
import { memory } from '../../stores/memory/index.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { checkCharts, checkRenewals } from './watch.ts'

const work = task({ name: 'work', run: () => undefined })

async function during<T>(clock: VirtualClock, coming: Promise<T>): Promise<T> {
  const isOver = coming.then(() => true)
  while (!(await Promise.race([isOver, clock.advance(100).then(() => false)])));
  return coming
}

/** What the checks say after a job ended some minutes ago. */
async function said(history: boolean, minutes: number): Promise<readonly string[]> {
  const clock = new VirtualClock()
  const errand: Errand = createErrand({ store: memory({ clock }), tasks: [work], history })
  await during(clock, errand.worker().start())
  await errand.enqueue(work, undefined)
  await clock.advance(minutes * 60_000)
  const findings = [await checkCharts(errand), await checkRenewals(errand)].flat()
  await during(clock, errand.close())
  return findings.map(({ check, status }) => `${check} ${status}`)
}

test('charts that do not go on although jobs end are found', async () => {
  assert.deepEqual(await said(true, 4), ['charts ok', 'renewals warn'])
  assert.deepEqual(await said(false, 4), ['charts warn', 'renewals warn'])
  assert.deepEqual(await said(false, 30), ['charts ok', 'renewals warn'])
})

test('who renews is said of workers that run jobs, and of no others', async () => {
  const errand = createErrand({ store: memory() })
  try {
    const tend = (id: string, slots: number, renewer?: 'thread' | 'event-loop') =>
      errand.store.tend({
        id,
        slots,
        host: 'here',
        pid: 7,
        version: '0',
        queues: ['*'],
        schedules: null,
        running: [],
        startedAt: errand.store.clock.now(),
        lastSeenAt: 0,
        stopped: false,
        ...(renewer && { renewer }),
      })
    await tend('keeper', 0)
    assert.deepEqual(await checkRenewals(errand), [])
    await tend('one', 5, 'thread')
    assert.equal((await checkRenewals(errand))[0]?.status, 'ok')
    await tend('two', 5, 'event-loop')
    const [found] = await checkRenewals(errand)
    assert.equal(found?.status, 'warn')
    assert.match(found?.text ?? '', /1 of 2 workers: here \(pid 7\)/)
  } finally {
    await errand.close()
  }
})

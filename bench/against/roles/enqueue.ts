/** Processes that enqueue. */
import { mail, type Mail } from '../../kit/job.ts'
import { tell, told } from '../../kit/peer.ts'
import { slept, ticks } from '../../kit/ticks.ts'
import type { EnqueuePart, JobsPart, Way } from '../part.ts'
import type { Side } from '../side.ts'
import { openErrand } from '../sides/errand.ts'
import { openSide } from '../sides/index.ts'

const batch = 1_000
const pacedEachMs = 10
const warmUp: Readonly<Record<Way, number>> = { one: 100, hundred: 1_000, many: 3_000 }

/** Times one way to enqueue, and counts what is there. */
export async function enqueueJobs({ setup, way, jobs }: EnqueuePart): Promise<void> {
  const side = await openSide(setup)
  await side.setup()
  await enqueue(side, way, warmUp[way])
  const since = ticks()
  await enqueue(side, way, jobs)
  const ms = ticks() - since
  const waiting = await side.waiting()
  await side.close()
  if (waiting !== jobs + warmUp[way])
    throw new Error(`${setup.side}: ${jobs + warmUp[way]} jobs should wait, not ${waiting}`)
  await tell({ rate: (jobs / ms) * 1_000 })
}

async function enqueue(side: Side, way: Way, jobs: number): Promise<void> {
  switch (way) {
    case 'one':
      return inFlight(1, jobs, 1, (id) => side.enqueue(mail(id)))
    case 'hundred':
      return inFlight(100, jobs, 1, (id) => side.enqueue(mail(id)))
    case 'many':
      return inFlight(1, jobs, batch, (start) => side.enqueueMany(mails(start)))
  }
}

/** Makes the tables, waits for a word, and enqueues 1,000 a call, two calls in flight; ids count from 0. */
export async function fill({ setup, jobs }: JobsPart): Promise<void> {
  const side = await openSide(setup)
  await side.setup()
  await tell('ready')
  await told()
  await inFlight(2, jobs, batch, (start) => side.enqueueMany(mails(start)))
  await side.close()
}

/** Enqueues jobs of Errand that are due tomorrow. */
export async function schedule({ setup, jobs }: JobsPart): Promise<void> {
  const side = openErrand(setup)
  await inFlight(2, jobs, batch, (start) => side.scheduleMany(mails(start)))
  await side.close()
  await tell('done')
}

/** Enqueues one job each 10 ms, after a first one that opens connections; tells when it began each call. */
export async function producePaced({ setup, jobs }: JobsPart): Promise<void> {
  const side = await openSide(setup)
  const sentAt: number[] = []
  for (let id = 0; id < jobs; id++) {
    const began = ticks()
    sentAt.push(began)
    await side.enqueue(mail(id))
    await slept(pacedEachMs - (ticks() - began))
  }
  await side.close()
  await tell(sentAt)
}

async function inFlight(
  flights: number,
  jobs: number,
  step: number,
  call: (start: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const fly = async (): Promise<void> => {
    while (next < jobs) {
      const start = next
      next += step
      await call(start)
    }
  }
  await Promise.all(Array.from({ length: flights }, fly))
}

function mails(start: number): readonly Mail[] {
  return Array.from({ length: batch }, (_, i) => mail(start + i))
}

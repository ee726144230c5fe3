/** A slow, even stream of jobs. */
import type { BenchApp } from './app.ts'
import { mail } from './job.ts'
import { slept, ticks } from './ticks.ts'

const eachMs = 10

/** Enqueues one job each 10 ms; answers when each call began. */
export async function enqueuePaced({ errand, task }: BenchApp, jobs: number): Promise<number[]> {
  const sentAt: number[] = []
  for (let id = 0; id < jobs; id++) {
    const began = ticks()
    sentAt.push(began)
    await errand.enqueue(task, mail(id))
    await slept(eachMs - (ticks() - began))
  }
  return sentAt
}

/** The schedules of the proof: every interval, and wall times, so that most seconds have some. */
import { schedule, task, type AnyTask, type Schedule } from '../../src/index.ts'

export const tick: AnyTask = task<number>({ name: 'tick', run: () => undefined })

/** Schedules whose ticks are all to run, whatever is killed. */
export function schedulesOf(count: number): readonly Schedule[] {
  return Array.from({ length: count }, (_, n) => {
    const name = `tick-${String(n).padStart(3, '0')}`
    const common = { name, task: tick, input: n, missed: 'all', overlap: overlapOf(n) } as const
    const seconds = 1 + (n % 10)
    if (n % 4 === 3) return schedule({ ...common, cron: `*/${seconds} * * * * *` })
    return schedule({
      ...common,
      every: `${seconds}s`,
      ...(n % 5 === 0 ? { jitter: '400ms' } : {}),
    })
  })
}

function overlapOf(n: number): 'allow' | 'queue' {
  return n % 7 === 0 ? 'queue' : 'allow'
}

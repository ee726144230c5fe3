/** What the raw engine does in the same time, for the ratios. */
import { cpuMicroseconds, ticks } from '../kit/ticks.ts'
import { scaled, type Figures, type Measure } from '../workload.ts'
import { makeIds, RawEngine, type FoundBy } from './engine.ts'

/** Claims and finishes jobs in batches of one size. */
export function rawDrain(foundBy: FoundBy, batch: number): Measure {
  return async (setting): Promise<Figures> => {
    const jobs = scaled(80_000, setting)
    const engine = new RawEngine(setting, foundBy)
    engine.insert(makeIds(jobs), 1_000)
    const [since, cpuSince] = [ticks(), cpuMicroseconds()]
    engine.drain(batch)
    const [ms, cpu] = [ticks() - since, cpuMicroseconds() - cpuSince]
    engine.check(jobs)
    engine.close()
    return { rate: (jobs / ms) * 1_000, cpu: cpu / jobs }
  }
}

/** Inserts jobs in transactions of one size. */
export function rawInserts(batch: number, most: number): Measure {
  return async (setting): Promise<Figures> => {
    const jobs = scaled(most, setting)
    const engine = new RawEngine(setting, 'id')
    const ids = makeIds(jobs)
    const since = ticks()
    engine.insert(ids, batch)
    const ms = ticks() - since
    engine.close()
    return { rate: (jobs / ms) * 1_000 }
  }
}

import type { Setup, Side } from '../side.ts'
import { openBullMq } from './bullmq.ts'
import { openErrand } from './errand.ts'
import { openGraphile } from './graphile-worker.ts'
import { openPgBoss } from './pg-boss.ts'

/** Opens one side. */
export async function openSide(setup: Setup): Promise<Side> {
  switch (setup.side) {
    case 'errand':
      return openErrand(setup)
    case 'graphile-worker':
      return openGraphile(setup)
    case 'pg-boss':
      return openPgBoss(setup)
    case 'bullmq':
      return openBullMq(setup)
  }
}

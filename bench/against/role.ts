/** The entry of a process that plays one part in a measurement, told in its argument. */
import { given } from '../kit/peer.ts'
import type { Part } from './part.ts'
import { measureClaims } from './roles/claims.ts'
import { check, drainJobs, drainRounds } from './roles/drain.ts'
import { enqueueJobs, fill, producePaced, schedule } from './roles/enqueue.ts'
import { idle } from './roles/idle.ts'
import {
  callVerbs,
  runChain,
  drainFollowUps,
  drainLargeJobs,
  drainNeeds,
  fillLarge,
  fireInTurn,
  fireSchedules,
  useQueuesOnce,
  runFanIn,
  runLargeBatch,
} from './roles/measures.ts'
import { raiseChildren } from './roles/children.ts'
import { cycle } from './roles/raw.ts'

const orphaned = (): never => process.exit(1)
process.once('disconnect', orphaned)
await play(given<Part>())
process.off('disconnect', orphaned)
process.disconnect?.()

async function play(part: Part): Promise<void> {
  switch (part.role) {
    case 'raw':
      return cycle(part)
    case 'enqueue':
      return enqueueJobs(part)
    case 'fill':
      return fill(part)
    case 'schedule':
      return schedule(part)
    case 'produce':
      return producePaced(part)
    case 'drain':
      return drainJobs(part)
    case 'drain-rounds':
      return drainRounds(part)
    case 'check':
      return check(part)
    case 'claims':
      return measureClaims(part)
    case 'idle':
      return idle(part)
    case 'fire-schedules':
      return fireSchedules(part)
    case 'fire-in-turn':
      return fireInTurn(part)
    case 'use-queues-once':
      return useQueuesOnce(part)
    case 'fill-large':
      return fillLarge(part)
    case 'drain-large':
      return drainLargeJobs(part)
    case 'needs':
      return drainNeeds(part)
    case 'follow-ups':
      return drainFollowUps(part)
    case 'chain':
      return runChain(part)
    case 'children':
      return raiseChildren(part)
    case 'verbs':
      return callVerbs(part)
    case 'large-batch':
      return runLargeBatch(part)
    case 'fan-in':
      return runFanIn(part)
  }
}

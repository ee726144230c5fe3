/** All routes, in the order in which the document shows them. */
import type { Route } from '../route.ts'
import { bulkVerbRoutes } from './bulk-verbs.ts'
import { controlRoutes } from './control.ts'
import { dashboardRoutes } from './dashboard.ts'
import { documentRoutes } from './document.ts'
import { enqueueRoutes } from './enqueue.ts'
import { eventRoutes } from './events.ts'
import { fleetRoutes } from './fleet.ts'
import { healthRoutes } from './health.ts'
import { jobVerbRoutes } from './job-verbs.ts'
import { jobRoutes } from './jobs.ts'
import { metricRoutes } from './metrics.ts'
import { queueRoutes } from './queues.ts'
import { scheduleRoutes } from './schedules.ts'
import { sessionRoutes } from './session.ts'
import { statsRoutes } from './stats.ts'
import { storeRoutes } from './store.ts'
import { tokenRoutes } from './tokens.ts'
import { workRoutes } from './work.ts'
import { workflowRoutes } from './workflows.ts'

/** All but those of the document itself. */
const resources: readonly Route[] = [
  ...enqueueRoutes,
  ...jobRoutes,
  ...jobVerbRoutes,
  ...bulkVerbRoutes,
  ...queueRoutes,
  ...statsRoutes,
  ...scheduleRoutes,
  ...workflowRoutes,
  ...fleetRoutes,
  ...controlRoutes,
  ...eventRoutes,
  ...healthRoutes,
  ...metricRoutes,
  ...sessionRoutes,
  ...tokenRoutes,
  ...workRoutes,
  ...storeRoutes,
  ...dashboardRoutes,
]

/** All routes, with how long a task is shown in the document after somebody last said that it serves it. */
export function routesOf({
  tasksShownForMs,
}: {
  readonly tasksShownForMs: number
}): readonly Route[] {
  return [...resources, ...documentRoutes(resources, tasksShownForMs)]
}

/** All routes, as a manager has them unless it is told otherwise: a task is shown for a day. */
export const routes: readonly Route[] = routesOf({ tasksShownForMs: 86_400_000 })

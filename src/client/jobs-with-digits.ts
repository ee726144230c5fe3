/** The jobs of an app, read with all digits of their numbers: for what shows them as JSON. */
import { fromJsonWithDigits } from '../core/json.ts'
import { createJobs, type Jobs } from './jobs.ts'
import { clientOf } from './own-client.ts'

export function jobsWithDigits(app: { readonly jobs: Jobs }): Jobs {
  const whole = createJobs(clientOf(app), fromJsonWithDigits)
  return Object.assign(Object.create(app.jobs) as Jobs, {
    get: (id) => whole.get(id),
    list: (filter) => whole.list(filter),
    take: (id) => whole.take(id),
    result: (id, options) => whole.result(id, options),
  } satisfies Partial<Jobs>)
}

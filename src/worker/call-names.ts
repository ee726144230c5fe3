/** How the calls of one attempt are named: the same in each attempt, if the handler is. */
import { callName } from '../app/call-journal.ts'
import { ErrandError } from '../core/errors.ts'
import type { CallOptions } from '../core/running-job.ts'
import { checkName } from '../core/text.ts'
import type { AnyTask } from '../core/task.ts'

export class CallNames {
  readonly #ids = new Set<string>()
  readonly #counts = new Map<string, number>()

  /** Names the next call, in the order of the calls. Throws `invalid-option` for a second of an id. */
  next(task: AnyTask | string, id: string | undefined): string {
    if (id === undefined) {
      const name = typeof task === 'string' ? task : task.name
      const n = (this.#counts.get(name) ?? 0) + 1
      this.#counts.set(name, n)
      return callName({ task: name, n })
    }
    checkName(id, 'call().id')
    if (this.#ids.has(id)) {
      throw new ErrandError(
        'invalid-option',
        `Two calls of this job have the id ${JSON.stringify(id)}; give each an id of its own, such as one with the name of what it is for.`,
      )
    }
    this.#ids.add(id)
    return callName({ id })
  }
}

/** Refuses the options of `enqueue` that a called job cannot have. */
export function readCallOptions(options: CallOptions): CallOptions {
  for (const name of ['tx', 'inline']) {
    if (typeof options !== 'object' || options === null || !(name in options)) continue
    throw new ErrandError(
      'invalid-option',
      `job.call() takes no ${name}: the called job is inserted at once, and runs in a worker.`,
      { details: { option: name } },
    )
  }
  return options
}

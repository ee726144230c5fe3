/** Handlers and a task that need Errand themselves. */
import { Discard, Postpone, task, Unrecoverable } from 'errand'

export function instructs(what: string): never {
  if (what === 'postpone') throw new Postpone('1h')
  if (what === 'discard') throw new Discard('no need')
  throw new Unrecoverable('never')
}

class NotFound extends Error {
  override readonly name = 'NotFound'
}

/** A task with rules of its own, which need the classes of its errors. */
export const judged = task({
  name: 'judged',
  retry: {
    when: (error) => !(error instanceof NotFound),
    backoff: () => '2h',
  },
  isolate: { kind: 'thread', module: import.meta.url },
  wrap: async (job, next) => {
    job.log.info('wrapped inside')
    return next()
  },
  run: (what: 'gone' | 'other') => {
    if (what === 'gone') throw new NotFound('gone for good')
    throw new Error('perhaps later')
  },
})

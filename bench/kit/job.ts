/** The job of all workloads: a payload of about 250 bytes, a handler that does nothing, a small result. */
import type { mail as isolated } from './isolated-mail.ts'
import { inModule, task, type Task } from 'errand'

export interface Mail {
  readonly id: number
  readonly to: string
  readonly body: string
}

interface Sent {
  readonly ok: number
}

const body = 'All work and no play makes a dull benchmark. '.repeat(5).slice(0, 200)

export function mail(id: number): Mail {
  return { id, to: 'user@example.com', body }
}

export type MailTask = Task<Mail, Mail, Sent, unknown>

/** The task; `ran` hears of each start. */
export function mailTask(ran: (id: number) => void): MailTask {
  return task({
    name: 'mail',
    run: (input: Mail): Sent => {
      ran(input.id)
      return { ok: input.id }
    },
  })
}

/** Where it is loaded by threads and processes. */
export const isolatedModule: URL = new URL('./isolated-mail.ts', import.meta.url)

/** The same in threads or processes. */
export function isolatedMail(kind: 'thread' | 'process'): MailTask {
  return task({
    name: 'mail',
    run: inModule<typeof isolated>(isolatedModule, 'mail'),
    isolate: kind,
  })
}

/**
 * Messages of brokers that no job could be made of. Each becomes a job that has failed from the start and holds
 * the message, so that nothing is lost and nothing goes round in circles. An operator's retry reads the message
 * again: it may fit by now. Every worker runs such jobs, whatever tasks it has.
 */
import { Unrecoverable } from '../core/instructions.ts'
import { inputOf, readCall } from '../core/message-call.ts'
import { task, type AnyTask } from '../core/task.ts'
import type { App } from './app.ts'
import type { TaskFacts } from './new-job.ts'
import { describeTask } from './registered-tasks.ts'

/** How such jobs name their task. */
export const messageTaskName = 'errand.message'

/** The input of such a job. */
export interface ParkedMessage {
  readonly source: string
  /** The broker's queue. */
  readonly queue: string
  readonly id: string | null
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of the whole body. */
  readonly size: number
  /** Where the whole message is, when only its beginning is here. */
  readonly rest: string | null
  /** The body, when it is UTF-8. */
  readonly body?: string
  /** Else its bytes. */
  readonly base64?: string
}

/** The task of such jobs, for the workers of an app. */
export function messageTask(app: App): AnyTask {
  return task({
    name: messageTaskName,
    retry: 'never',
    run: async (message: ParkedMessage, job) => {
      const { rest, queue } = message
      if (rest !== null)
        throw new Unrecoverable(`Only the beginning of the message is here; all of it is ${rest}.`)
      const call = readCall(bytesOf(message))
      const own = (await app.tasks()).find(call.task)
      const entry =
        own === undefined
          ? (await app.store.tasks()).find(({ name }) => name === call.task)
          : describeTask(app, own)
      const input = inputOf(call, entry?.inputSchema ? JSON.parse(entry.inputSchema) : null)
      const named = queueOfMessage(app, own?.definition ?? null, queue)
      return { job: await job.enqueue(call.task, input, named === null ? {} : { queue: named }) }
    },
  })
}

/** The Errand queue named as the broker's, if the app or the task names one so; null for the task's own. */
export function queueOfMessage(
  app: App,
  task: Pick<TaskFacts, 'queues'> | null,
  queue: string,
): string | null {
  return app.queueNames().includes(queue) || task?.queues?.includes(queue) === true ? queue : null
}

function bytesOf({ body, base64 }: ParkedMessage): Uint8Array {
  return body === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(body)
}

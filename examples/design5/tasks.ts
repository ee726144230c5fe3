/** Tasks: a typed definition with options, and what follows from it. */
import { exponential, task, type FailureReport } from 'errand'
import * as z from 'zod'
import { NotFound, shrink } from './images.ts'

export const index = task({
  name: 'images.index',
  input: z.object({ bytes: z.int() }),
  run: ({ bytes }) => console.log(`index: ${bytes} bytes`),
})

export const alert = task({
  name: 'ops.alert',
  run: ({ job, errors }: FailureReport) =>
    console.log(`alert: ${job.task}: ${errors.at(-1)?.message}`),
})

export const resize = task({
  name: 'images.resize',
  input: z.object({ path: z.string(), width: z.int().positive() }),
  output: z.object({ bytes: z.int() }),
  queue: 'images',
  retry: {
    limit: 5,
    backoff: exponential({ first: '2s', max: '10m' }),
    when: (error) => !(error instanceof NotFound),
  },
  postpone: { limit: 15, delay: '5s' },
  unique: true,
  timeout: '30s',
  onSuccess: [index],
  onFailure: [alert],
  async run({ path, width }, job) {
    return { bytes: await shrink(path, width, { signal: job.signal }) }
  },
})

/** A task that says nothing of its module: a glob finds it. */
import { task } from 'errand'

export const found = task({
  name: 'found',
  isolate: 'process',
  run: (_input: undefined, job) => ({ pid: process.pid, task: job.task }),
})

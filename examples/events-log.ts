/** Errand itself prints nothing: subscribe to its events, or hand it a log. */
import { constant, createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const flaky = task({
  name: 'flaky',
  retry: { backoff: constant('10ms') },
  run(_input: undefined, job) {
    if (job.attempt === 1) throw new Error('no luck')
  },
})

const errand = createErrand({
  store: memory(),
  tasks: [flaky],
  // A function that takes lines, or anything with level methods, such as pino or the console.
  log: (line) => console.log('log  ', plain(line)),
})

errand.on('run-ended', ({ task, attempt, outcome, againMs }) => {
  console.log('event', task, attempt, outcome, againMs)
})

const worker = errand.worker({ slots: 2, queues: ['default'] })
await worker.start()
const job = await errand.enqueue(flaky)
await job.result()
await errand.close()

/** Makes lines the same each time: without ids and times. */
function plain(line: string): string {
  return line
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>')
    .replaceAll(/after \d+(\.\d+)? (ms|s)/g, 'after <time>')
}

// Output:
// log   worker <id> started: 2 slots on default
// log   flaky <id> started
// log   flaky <id> retry after <time>: no luck, again in 10 ms
// event flaky 1 retry 10
// log   flaky <id> started
// log   flaky <id> completed after <time>
// event flaky 2 completed null
// log   worker <id> stops, 0 running
// log   worker <id> stopped

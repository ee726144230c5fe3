/** The program of a thread that runs isolated jobs. */
import { parentPort, workerData } from 'node:worker_threads'
import { ChildRun } from './child-run.ts'
import type { Load } from './messages.ts'

const port = parentPort
if (port === null) throw new TypeError('this is the program of a thread')
const streams = [process.stdout, process.stderr]

const run = new ChildRun(
  {
    send: (message) => port.postMessage(message),
    listen: (hear) => void port.on('message', hear),
    flush() {
      // What the worker has not taken yet would reach it after the output.
      const full = streams.filter(({ writableLength }) => writableLength > 0)
      if (full.length === 0) return null
      const written = full.map(
        (stream) => new Promise<void>((done) => stream.write('', () => done())),
      )
      return Promise.all(written).then(() => undefined)
    },
    exit: () => process.exit(0),
  },
  workerData as Load,
)
await run.begin()

/**
 * A worker inside a console program: it runs jobs while people type commands, lists jobs and workers, and stops cleanly when
 * `exit` is typed. A worker started from code installs no signal handler and never ends the process: that is the program's.
 */
import { createInterface } from 'node:readline'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const shout = task({
  name: 'shout',
  run: ({ text }: { text: string }) => `${text.toUpperCase()}!`,
})

const errand = createErrand({ store: memory(), tasks: [shout] })
const worker = errand.worker({ slots: 4 })
await worker.start()
console.log('Ready. Commands: shout <text>, jobs, workers, exit')

const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
for await (const line of terminal) {
  const [command = '', ...words] = line.trim().split(/\s+/)
  if (command === 'exit') break
  await obey(command, words.join(' '))
}

console.log('Stopping …')
terminal.close()
await errand.close()
console.log('Stopped.')

async function obey(command: string, text: string): Promise<void> {
  switch (command) {
    case 'shout': {
      const job = await errand.enqueue(shout, { text })
      console.log(await job.result())
      break
    }
    case 'jobs': {
      const { jobs } = await errand.jobs.list()
      for (const { task, state, input } of jobs) console.log(task, state, JSON.stringify(input))
      break
    }
    case 'workers':
      for (const { state, slots, queues, running } of await errand.workers.list())
        console.log(
          `${state}: ${slots} slots on ${queues.join(', ')}, ${running.length} jobs running`,
        )
      break
    default:
      console.log(`What is ${command}? Known are shout, jobs, workers and exit.`)
  }
}

// Input:
// shout hello
// shout good morning
// jobs
// workers
// dance
// exit

// Output:
// Ready. Commands: shout <text>, jobs, workers, exit
// HELLO!
// GOOD MORNING!
// shout completed {"text":"good morning"}
// shout completed {"text":"hello"}
// running: 4 slots on default, 0 jobs running
// What is dance? Known are shout, jobs, workers and exit.
// Stopping …
// Stopped.

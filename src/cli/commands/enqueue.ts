/** `errand enqueue`: store a job, and wait for its result if asked to. */
import type { Command } from 'commander'
import type { Duration } from '../../core/duration.ts'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { ErrandError } from '../../core/errors.ts'
import { action, withApp } from '../action.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { readInput } from '../input.ts'
import { duration, priority, several } from '../options.ts'
import { print, printJson } from '../terminal.ts'
import { readDate } from '../times.ts'

interface Options {
  readonly inputFile?: string
  readonly delay?: Duration
  readonly runAt?: string
  readonly priority?: number
  readonly queue?: string
  readonly uniqueKey?: string
  readonly group?: string
  readonly tag?: readonly string[]
  readonly header?: readonly string[]
  readonly wait?: boolean
  readonly timeout: Duration
}

export function addEnqueue(program: Command): void {
  const command = program
    .command('enqueue')
    .summary('store a job')
    .description(
      'Enqueue a job. Its input is checked by the task, or by what a worker registered of it.',
    )
    .argument('<task>', 'name of the task')
    .argument('[json]', 'its input; - reads standard input')
    .option('--input-file <file>', 'read the input from a file')
    .option('--delay <duration>', 'run it this much later', duration)
    .option('--run-at <date>', 'run it at this time, such as 2026-01-31T08:00:00Z')
    .option('--priority <n>', 'from -1000 to 1000; lower runs first', priority)
    .option('--queue <name>', "in this queue, not the task's own")
    .option('--unique-key <key>', 'enqueue nothing if a job with this key waits')
    .option('--group <id>', 'the batch or workflow that it belongs to')
    .option('--tag <tag>', 'a word to find it by; may be repeated', several)
    .option('--header <name=value>', 'a small text that travels with it; may be repeated', several)
    .option('--wait', 'wait for the end and print the result as JSON')
    .option('--timeout <duration>', 'how long to wait', duration, '30s' as Duration)
    .action(
      action<Options, [string, string | undefined]>(async (options, task, json) => {
        const input = await readInput(json, options.inputFile)
        return withApp(options, async (errand): Promise<ExitCode> => {
          const job = await errand.enqueue(task, input, callOptions(options))
          const { timeout } = options
          if (options.wait) printJson(await errand.jobs.result(job.id, { timeout }))
          else if (options.json) printJson({ id: job.id, inserted: job.inserted })
          else print(`${job.inserted} ${job.id}`)
          return 0
        })
      }),
    )
  examples(command, [
    [`errand enqueue mail.send '{"to":"ada@example.org"}'`, 'runs as soon as a worker is free'],
    [`errand enqueue report --delay 1h --priority -5`, 'in an hour, ahead of others'],
    [`errand enqueue resize --input-file input.json --wait`, 'prints what it came to'],
    [`echo '{"n":3}' | errand enqueue count -`, 'input from another program'],
  ])
}

function callOptions(options: Options): EnqueueOptions {
  const { delay, runAt, priority, queue, uniqueKey, group, tag, header } = options
  return {
    ...(delay === undefined ? {} : { delay }),
    ...(runAt === undefined ? {} : { runAt: readDate(runAt, '--run-at') }),
    ...(priority === undefined ? {} : { priority }),
    ...(queue === undefined ? {} : { queue }),
    ...(uniqueKey === undefined ? {} : { unique: { key: uniqueKey } }),
    ...(group === undefined ? {} : { group }),
    ...(tag === undefined ? {} : { tags: tag }),
    ...(header === undefined ? {} : { headers: Object.fromEntries(header.map(readHeader)) }),
  }
}

function readHeader(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new ErrandError(
    'invalid-option',
    `--header takes a name and a value: tenant=ada, not ${text}`,
  )
}

/** `errand jobs result`: the output of a job. */
import type { Command } from 'commander'
import type { Duration } from '../../core/duration.ts'
import type { Errand } from '../../errand.ts'
import { ErrandError } from '../../core/errors.ts'
import { isFinal } from '../../core/job.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { duration } from '../options.ts'
import { printJson } from '../terminal.ts'

interface ResultOptions {
  readonly wait?: boolean
  readonly take?: boolean
  readonly timeout: Duration
}

export function addJobsResult(jobs: Command): void {
  const command = jobs
    .command('result')
    .summary('the output of a job')
    .description('Print the output of a completed job as JSON.')
    .argument('<id>')
    .option('--wait', 'wait for its end')
    .option('--timeout <duration>', 'how long to wait', duration, '30s' as Duration)
    .option('--take', 'remove the job once its output was read')
    .action(
      action<ResultOptions, [string]>(async (options, id) => {
        printJson(await withApp(options, (errand) => output(errand, id, options)))
        return 0
      }),
    )
  examples(command, [
    ['errand jobs result 0198c5d4-…', 'its output, if it has ended'],
    ['errand jobs result 0198c5d4-… --wait --timeout 5m', 'waits for it'],
  ])
}

async function output({ jobs }: Errand, id: string, options: ResultOptions): Promise<unknown> {
  const { timeout, take = false } = options
  const job = options.wait ? null : await jobs.get(id)
  if (job !== null && !isFinal(job.state)) {
    throw new ErrandError(
      'result-timeout',
      `${job.task} ${id} is ${job.state} and has no output yet. Pass --wait to wait for it.`,
    )
  }
  return jobs.result(id, { timeout, take })
}

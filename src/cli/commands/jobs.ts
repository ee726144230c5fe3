/** `errand jobs`: see jobs and change them. */
import type { Command } from 'commander'
import { addJobsChanges } from './jobs-change.ts'
import { addJobsList } from './jobs-list.ts'
import { addJobsResult } from './jobs-result.ts'
import { addJobsShow } from './jobs-show.ts'

export function addJobs(program: Command): void {
  const jobs = program
    .command('jobs')
    .summary('see jobs and change them')
    .description('See jobs and change them.')
  addJobsList(jobs)
  addJobsShow(jobs)
  addJobsResult(jobs)
  addJobsChanges(jobs)
}

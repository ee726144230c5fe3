/** `errand schedules`: see when jobs come, and change it. */
import type { Command } from 'commander'
import { formatMs } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import type { ScheduleInfo, TickInfo } from '../../flows/schedules/info.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { counted } from '../../core/words.ts'
import { stateWord } from '../job-words.ts'
import { count } from '../options.ts'
import { facts, table } from '../table.ts'
import { paint, print, printJson } from '../terminal.ts'
import { fromNow, fullTime, readDate, readPast } from '../times.ts'

/** Planned times in one answer. */
const mostTimes = 1_000

/** A tick is shown as late from here on. */
const shownLagMs = 1_000

export function addSchedules(program: Command): void {
  const schedules = program
    .command('schedules')
    .summary('see and change when jobs come')
    .description('See, pause, resume, fire and remove schedules.')
  addList(schedules)
  addShow(schedules)
  addNext(schedules)
  addPause(schedules)
  addResume(schedules)
  addTrigger(schedules)
  addBackfill(schedules)
  addRemove(schedules)
}

function addList(schedules: Command): void {
  const command = schedules
    .command('list')
    .summary('all schedules with their next and last ticks')
    .description('List all schedules of the store with their next and last ticks.')
    .action(
      action<object, []>(async (options) => {
        const found = await withApp(options, (errand) => errand.schedules.list())
        if (options.json) printJson(found)
        else
          print(
            found.length === 0
              ? 'No schedules. A worker puts those of its code when it starts.'
              : scheduleTable(found),
          )
        return 0
      }),
    )
  examples(command, [['errand schedules list', 'what comes when']])
}

function scheduleTable(schedules: readonly ScheduleInfo[]): string {
  const now = Date.now()
  return table(
    [
      { title: 'name', shrinks: true },
      { title: 'when', shrinks: true },
      { title: 'task', shrinks: true, optional: true },
      { title: 'next' },
      { title: 'last' },
      { title: 'owner', optional: true },
    ],
    schedules.map((one) => [
      one.name,
      one.when,
      one.task ?? paint('dim', 'a function'),
      nextWord(one, now),
      lastWord(one.last.at(-1), now),
      one.edited ? `${one.owner}, edited` : one.owner,
    ]),
  )
}

function nextWord(one: ScheduleInfo, now: number): string {
  if (one.paused !== null) return paint('yellow', 'paused')
  if (!one.declared) return paint('dim', 'no worker has it')
  if (one.next === null) return paint('dim', 'none')
  return one.lagMs > shownLagMs
    ? paint('red', `${formatMs(one.lagMs)} late`)
    : fromNow(one.next, now)
}

function lastWord(tick: TickInfo | undefined, now: number): string {
  return tick === undefined ? '' : `${tickState(tick)} ${fromNow(tick.firedAt, now)}`
}

function tickState({ state }: TickInfo): string {
  const isOfJob = state !== 'skipped' && state !== 'gone' && state !== 'called'
  return isOfJob ? stateWord(state) : paint('dim', state)
}

function addShow(schedules: Command): void {
  const command = schedules
    .command('show')
    .summary('one schedule in full')
    .description('Show one schedule in full.')
    .argument('<name>')
    .action(
      action<object, [string]>(async (options, name) => {
        const found = await withApp(options, (errand) => errand.schedules.get(name))
        if (options.json) printJson(found)
        else print(scheduleFacts(found))
        return 0
      }),
    )
  examples(command, [['errand schedules show nightly', 'its times, owner and last ticks']])
}

function scheduleFacts(one: ScheduleInfo): string {
  const { paused } = one
  const last = one.last.map(
    (tick) =>
      `${tick.plannedAt.toISOString()}  ${tickState(tick)}${tick.job === null ? '' : `  ${tick.job}`}`,
  )
  return facts([
    ['name', one.name],
    ['when', one.when],
    ['task', one.task],
    ['queue', one.queue],
    ['overlap', one.overlap],
    ['owner', one.edited ? `${one.owner}, edited by an operator` : one.owner],
    ['declared', one.declared ? null : 'by no living worker: it does not fire'],
    ['paused', paused === null ? null : `${fullTime(paused.at)} ${paused.note}`],
    ['next', one.next === null ? null : fullTime(one.next)],
    ['late by', one.lagMs > shownLagMs ? formatMs(one.lagMs) : null],
    ['ticks run', one.fired.toLocaleString('en')],
    ['last ticks', last.length === 0 ? null : { lines: `\n${last.join('\n')}` }],
  ])
}

function addNext(schedules: Command): void {
  const command = schedules
    .command('next')
    .summary('the coming ticks of a schedule')
    .description('Print the planned times of a schedule, in UTC. Needs no worker.')
    .argument('<name>')
    .option('--from <time>', 'count from this time (default: now)')
    .option('-n, --count <n>', `how many, at most ${mostTimes}`, count, 5)
    .action(
      action<{ from?: string; count: number }, [string]>(async (options, name) => {
        const { from } = options
        if (options.count > mostTimes)
          throw new ErrandError(
            'invalid-option',
            `--count is at most ${mostTimes}; go on with --from.`,
          )
        const times = await withApp(options, (errand) =>
          errand.schedules.next(name, {
            count: options.count,
            ...(from === undefined ? {} : { from: readDate(from, '--from') }),
          }),
        )
        if (options.json) printJson(times)
        else if (times.length === 0) print('none')
        else
          for (const time of times) print(`${time.toISOString()}  ${paint('dim', fromNow(time))}`)
        return 0
      }),
    )
  examples(command, [
    ['errand schedules next nightly -n 3', 'its next three ticks'],
    ['errand schedules next nightly --from 2026-10-24T00:00:00Z --json', 'as JSON, from a time on'],
  ])
}

function addPause(schedules: Command): void {
  const command = schedules
    .command('pause')
    .summary('keep a schedule from firing')
    .description('Keep a schedule from firing, until it is resumed.')
    .argument('<name>')
    .option('--note <text>', 'why, for others to see')
    .action(
      action<{ note?: string }, [string]>(async (options, name) => {
        await withApp(options, (errand) => errand.schedules.pause(name, options.note))
        told(options.json, 'paused', name)
        return 0
      }),
    )
  examples(command, [[`errand schedules pause nightly --note 'until the move'`, 'and says why']])
}

function addResume(schedules: Command): void {
  const command = schedules
    .command('resume')
    .summary('let a schedule fire again')
    .description('Let a schedule fire again, from now on. What it missed is not made up.')
    .argument('<name>')
    .action(
      action<object, [string]>(async (options, name) => {
        await withApp(options, (errand) => errand.schedules.resume(name))
        told(options.json, 'resumed', name)
        return 0
      }),
    )
  examples(command, [['errand schedules resume nightly', 'from now on']])
}

function addTrigger(schedules: Command): void {
  const command = schedules
    .command('trigger')
    .summary('fire a schedule once, now')
    .description('Fire a schedule once, now, beside its ticks. Prints the id of the job.')
    .argument('<name>')
    .action(
      action<object, [string]>(async (options, name) => {
        const id = await withApp(options, (errand) => errand.schedules.trigger(name))
        if (options.json) printJson({ id })
        else print(id)
        return 0
      }),
    )
  examples(command, [['errand schedules trigger nightly', 'does not wait for the night']])
}

function addBackfill(schedules: Command): void {
  const command = schedules
    .command('backfill')
    .summary('enqueue what ticks of the past did not')
    .description('Enqueue the jobs of all ticks of a time that have none in the store.')
    .argument('<name>')
    .requiredOption('--from <time>', 'a date, or a duration for so long ago')
    .option('--to <time>', 'likewise (default: now)')
    .action(
      action<{ from: string; to?: string }, [string]>(async (options, name) => {
        const range = {
          from: readPast(options.from, '--from'),
          to: options.to === undefined ? new Date() : readPast(options.to, '--to'),
        }
        if (range.to <= range.from)
          throw new ErrandError('invalid-option', '--to must be later than --from.')
        const ids = await withApp(options, (errand) => errand.schedules.backfill(name, range))
        if (options.json) printJson({ ids })
        else print(`${counted(ids.length, 'job')} enqueued`)
        return 0
      }),
    )
  examples(command, [['errand schedules backfill nightly --from 7d', 'the ticks of a week']])
}

function addRemove(schedules: Command): void {
  const command = schedules
    .command('remove')
    .summary('forget a schedule')
    .description('Remove a schedule that no running code declares. Its jobs stay.')
    .argument('<name>')
    .action(
      action<object, [string]>(async (options, name) => {
        await withApp(options, (errand) => errand.schedules.remove(name))
        told(options.json, 'removed', name)
        return 0
      }),
    )
  examples(command, [['errand schedules remove nightly', 'its jobs stay']])
}

function told(json: boolean | undefined, what: string, name: string): void {
  if (json === true) printJson({ [what]: [name] })
  else print(`${what} ${name}`)
}

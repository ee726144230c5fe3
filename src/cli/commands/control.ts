/** `errand control`: tell workers what to do, wherever they run. */
import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import type { ControlOrder, ControlTarget } from '../../client/control.ts'
import { ErrandError } from '../../core/errors.ts'
import { nearest } from '../../core/nearest.ts'
import type { Errand } from '../../errand.ts'
import { action, withApp } from '../action.ts'
import { examples } from '../help.ts'
import { checkQueueNames } from '../queue-names.ts'
import { table } from '../table.ts'
import { print, printJson, remark } from '../terminal.ts'
import { fromNow } from '../times.ts'

interface Options {
  readonly queue?: string
  readonly task?: string
  readonly worker?: string
  readonly group?: string
  readonly all?: boolean
  readonly note?: string
}

const verbs = {
  pause: {
    summary: 'claim nothing more; what runs goes on',
    description:
      'Keep jobs of a queue or a task, or whatever some workers claim, from being started, until resumed. What runs goes on.',
    example: ['errand control pause --group api --note "database upgrade"', 'workers of a group'],
  },
  resume: {
    summary: 'end a pause, drain, stop or restart',
    description: 'End what pause, drain, stop or restart began for the same target.',
    example: [
      'errand control resume --group api',
      'workers of the group may claim and start again',
    ],
  },
  drain: {
    summary: 'claim nothing more, stop once nothing runs',
    description:
      'Let workers claim nothing more, and stop once none of their jobs runs, however long that takes. They are not started again.',
    example: ['errand control drain --group api', 'cuts no job off'],
  },
  stop: {
    summary: 'stop as by SIGTERM, and stay stopped',
    description:
      'Stop workers as SIGTERM does. They are not started again, and those that start later stop at once, until resumed.',
    example: ['errand control stop --all', 'nothing runs any more'],
  },
  restart: {
    summary: 'stop one after another, to be started again',
    description:
      'Stop workers that run now, one after another, so that whatever supervises them starts them again: they end with the exit code 5.',
    example: ['errand control restart --group api', 'with a new release, say'],
  },
} as const satisfies Readonly<
  Record<string, { summary: string; description: string; example: readonly [string, string] }>
>

type Verb = keyof typeof verbs

export function addControl(program: Command): void {
  const control = program
    .command('control')
    .summary('pause, drain, stop and restart workers')
    .description(
      'Tell workers what to do, wherever they run. What is told is stored, so that workers which start later obey as well; those that run do within about two seconds.',
    )
  for (const verb of Object.keys(verbs) as Verb[]) addVerb(control, verb)
  addList(control)
}

function addVerb(control: Command, verb: Verb): void {
  const { summary, description, example } = verbs[verb]
  const command = control.command(verb).summary(summary).description(description)
  if (verb === 'pause' || verb === 'resume')
    command.option('--queue <name>', 'jobs of a queue').option('--task <name>', 'jobs of a task')
  command
    .option('--worker <id>', 'one worker')
    .option('--group <name>', 'workers that were started with --group')
    .option('--all', 'all workers')
  if (verb !== 'resume') command.option('--note <text>', 'why, for others to see')
  command.action(action<Options, []>(async (options) => tell(verb, options)))
  examples(command, [[...example]])
}

async function tell(
  verb: Verb,
  { queue, task, worker, group, all, note, ...globals }: Options,
): Promise<0> {
  const target = targetOf({ queue, task, worker, group, ...(all === true ? { all } : {}) })
  await withApp(globals, async (errand) => {
    await checkTarget(errand, verb, target)
    if (verb === 'resume') return errand.control.resume(target)
    const words = { by: whoAmI(), ...(note === undefined ? {} : { note }) }
    if (verb === 'pause') return errand.control.pause(target, words)
    // Queues and tasks are options of pause and resume only.
    return errand.control[verb](
      target as Exclude<ControlTarget, { queue: string } | { task: string }>,
      words,
    )
  })
  if ((globals as { readonly json?: boolean }).json === true) printJson({ verb, target })
  else print(`${verb}: ${targetText(target)}`)
  return 0
}

function targetOf(given: Readonly<Record<string, string | true | undefined>>): ControlTarget {
  const named = Object.entries(given).filter(([, value]) => value !== undefined)
  if (named.length === 1) return Object.fromEntries(named) as unknown as ControlTarget
  const said = named.length === 0 ? 'none is given' : 'several are given'
  const known = Object.keys({ ...given, all: true }).map((name) => `--${name}`)
  throw new ErrandError('invalid-option', `One of ${known.join(', ')} is needed; ${said}.`)
}

/** A slip of the pen must pause nothing that nobody has; a group may come up later. */
async function checkTarget(errand: Errand, verb: Verb, target: ControlTarget): Promise<void> {
  if ('queue' in target) return checkQueueNames(errand, [target.queue])
  if (verb === 'resume') return
  if ('task' in target) return checkTask(errand, target.task)
  if (!('group' in target)) return
  const workers = await errand.workers.list()
  if (!workers.some(({ group, state }) => group === target.group && state === 'running'))
    remark(`No worker of the group ${target.group} runs now; those that start will obey.`)
}

async function checkTask(errand: Errand, name: string): Promise<void> {
  const tasks = await errand.tasks.list()
  const known = tasks.flatMap((task) => [task.name, ...task.aliases])
  if (known.includes(name)) return
  const meant = nearest(name, known)
  throw new ErrandError(
    'unknown-task',
    `No task is called ${name}. ${meant === null ? 'errand check lists those of the configuration.' : `Did you mean ${meant}?`}`,
  )
}

function addList(control: Command): void {
  const command = control
    .command('list')
    .summary('what is in force')
    .description(
      'List what workers are told, with paused queues: what, whom, since when, by whom and why.',
    )
    .action(
      action<object, []>(async (options) => {
        const orders = await withApp(options, (errand) => errand.control.list())
        if (options.json) printJson(orders)
        else print(orders.length === 0 ? 'Nothing is in force.' : orderTable(orders))
        return 0
      }),
    )
  examples(command, [['errand control list', 'why a worker claims nothing, say']])
}

function orderTable(orders: readonly ControlOrder[]): string {
  const now = Date.now()
  return table(
    [
      { title: 'order' },
      { title: 'target', shrinks: true },
      { title: 'since', optional: true },
      { title: 'by', shrinks: true, optional: true },
      { title: 'note', shrinks: true },
    ],
    orders.map(({ verb, target, at, by, note }) => [
      verb,
      targetText(target),
      at === null ? '' : fromNow(at, now),
      by ?? '',
      note ?? '',
    ]),
  )
}

function targetText(target: ControlTarget): string {
  const [[kind, name] = ['all', true]] = Object.entries(target)
  return name === true ? 'all workers' : `${kind} ${name}`
}

function whoAmI(): string {
  return `${nameOfUser()}@${hostname()}`.slice(0, 200)
}

/** A user without an entry in the system has no name. */
function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}

/** The screens of `errand top`, as lines. Pure: from what was seen, and where the user is, to text. */
import { formatMs } from '../../core/duration.ts'
import { inLine } from '../../core/shown.ts'
import { counted } from '../../core/words.ts'
import { remarkOn } from '../job-words.ts'
import { table, type Column } from '../table.ts'
import { paint, widthOf } from '../terminal.ts'
import { fromNow } from '../times.ts'
import { queueRows, type Look } from './look.ts'

export const views = ['queues', 'workers', 'running', 'failed'] as const
export type View = (typeof views)[number]

/** What a user does with the row that is marked. */
export type Wish =
  | { readonly verb: 'pause' | 'resume'; readonly queue: string }
  | { readonly verb: 'cancel' | 'retry'; readonly job: string; readonly task: string }

/** Where the user is. */
export interface Place {
  readonly view: View
  readonly row: number
  /** What is asked about before it is done. */
  readonly asked: Wish | null
  /** What there is to say. */
  readonly note: string
}

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** Lines beside the rows of a table: two above it, its titles, and two below. */
const around = 6

const queueColumns: readonly Column[] = [
  { title: '' },
  { title: 'queue', shrinks: true },
  { title: 'ready', align: 'right' },
  { title: 'run', align: 'right' },
  { title: 'later', align: 'right' },
  { title: 'blocked', align: 'right', optional: true },
  { title: 'failed', align: 'right' },
  { title: 'ended/s', align: 'right' },
  { title: 'oldest', align: 'right' },
  { title: 'state' },
]
const workerColumns: readonly Column[] = [
  { title: '' },
  { title: 'id', shrinks: true },
  { title: 'state' },
  { title: 'host', shrinks: true },
  { title: 'pid', align: 'right' },
  { title: 'slots', align: 'right' },
  { title: 'queues', shrinks: true },
  { title: 'seen' },
]
const jobColumns: readonly Column[] = [
  { title: '' },
  { title: 'id', shrinks: true },
  { title: 'task', shrinks: true },
  { title: 'queue', shrinks: true },
  { title: 'try', align: 'right' },
  { title: '', shrinks: true, least: 20 },
]

const keys: Readonly<Record<View, string>> = {
  queues: 'p pause/resume',
  workers: '',
  running: 'c cancel',
  failed: 'r retry',
}

/** The rows of a view, each as what its keys act on. */
export function rowsOf(view: View, looks: readonly Look[]): readonly (Wish | null)[] {
  const last = looks.at(-1)
  if (last === undefined) return []
  switch (view) {
    case 'queues':
      return queueRows(looks).map(({ name, paused }) => ({
        verb: paused ? 'resume' : 'pause',
        queue: name,
      }))
    case 'workers':
      return last.workers.map(() => null)
    case 'running':
      return last.running.map(({ id, task }) => ({ verb: 'cancel', job: id, task }))
    case 'failed':
      return last.failed.map(({ id, task }) => ({ verb: 'retry', job: id, task }))
  }
}

/** All lines of a screen. */
export function screen(
  place: Place,
  looks: readonly Look[],
  where: string,
  size: Size,
): readonly string[] {
  const last = looks.at(-1)
  const tabs = views
    .map((name, n) => {
      const title = `${n + 1} ${name}${countOf(name, looks)}`
      return name === place.view ? paint('inverse', ` ${title} `) : ` ${title} `
    })
    .join(' ')
  const rest = Math.max(1, size.rows - around)
  const body = last === undefined ? ['', 'Looks at the store …'] : tableOf(place, looks, rest, size)
  const help = ['tab view', '↑↓ row', keys[place.view], 'q quit'].filter((one) => one !== '')
  const lines = [
    cut(`${paint('bold', 'errand top')}  ${inLine(where)}${summary(last)}`, size.columns),
    tabs,
    ...body,
  ]
  while (lines.length < size.rows - 2) lines.push('')
  const question = place.asked === null ? inLine(place.note) : `${ask(place.asked)} y/n`
  return [
    ...lines.slice(0, size.rows - 2),
    cut(question, size.columns),
    paint('dim', help.join('   ')),
  ]
}

function summary(look: Look | undefined): string {
  if (look === undefined) return ''
  const living = look.workers.filter(({ state }) => state === 'running')
  const slots = living.reduce((sum, worker) => sum + worker.slots, 0)
  const used = living.reduce((sum, { running }) => sum + running.length, 0)
  const lost = look.workers.filter(({ state }) => state === 'lost').length
  const said = lost === 0 ? '' : `, ${lost} lost`
  return `  ${counted(living.length, 'worker')}${said}  ${used}/${slots} slots`
}

function countOf(view: View, looks: readonly Look[]): string {
  return looks.length === 0 ? '' : ` ${rowsOf(view, looks).length}`
}

function tableOf(
  { view, row }: Place,
  looks: readonly Look[],
  rest: number,
  { columns }: Size,
): readonly string[] {
  const cells = cellsOf(view, looks)
  if (cells.length === 0) return ['', nothing[view]]
  // The marked row is always among those shown.
  const from = Math.max(0, Math.min(row - Math.floor(rest / 2), cells.length - rest))
  const shown = cells
    .slice(from, from + rest)
    .map((one, n) => [from + n === row ? '>' : ' ', ...one])
  const text = table(columnsOf[view], shown, columns)
  return ['', ...text.split('\n')]
}

const columnsOf: Readonly<Record<View, readonly Column[]>> = {
  queues: queueColumns,
  workers: workerColumns,
  running: jobColumns,
  failed: jobColumns,
}

const nothing: Readonly<Record<View, string>> = {
  queues: 'No queue holds a job.',
  workers: 'No worker runs. Start one: errand worker',
  running: 'Nothing runs.',
  failed: 'Nothing has failed.',
}

function cellsOf(view: View, looks: readonly Look[]): readonly (readonly string[])[] {
  const last = looks.at(-1)
  if (last === undefined) return []
  switch (view) {
    case 'queues':
      return queueRows(looks).map((queue) => [
        queue.name,
        ...[queue.ready, queue.running, queue.scheduled, queue.blocked, queue.failed].map(String),
        queue.rate === null ? '' : queue.rate.toFixed(queue.rate < 10 ? 1 : 0),
        queue.oldestMs === null ? '' : formatMs(queue.oldestMs),
        queue.paused ? paint('yellow', 'paused') : '',
      ])
    case 'workers':
      return last.workers.map((worker) => [
        worker.id,
        worker.state,
        worker.host,
        String(worker.pid),
        `${worker.running.length}/${worker.slots}`,
        worker.queues.join(', '),
        fromNow(worker.lastSeenAt, last.at),
      ])
    case 'running':
    case 'failed':
      return last[view].map((job) => [
        job.id,
        job.task,
        job.queue,
        String(job.attempts + (view === 'running' ? 1 : 0)),
        remarkOn(job, last.at),
      ])
  }
}

function ask(wish: Wish): string {
  return 'queue' in wish
    ? `${wish.verb} ${inLine(wish.queue)}?`
    : `${wish.verb} ${inLine(wish.task)} ${inLine(wish.job)}?`
}

/** Only texts that end with plain characters are cut: colours stand at their begin. */
function cut(text: string, columns: number): string {
  const over = widthOf(text) - columns
  return over <= 0 ? text : `${text.slice(0, text.length - over - 1)}…`
}

/** `errand top`: see queues, workers and jobs live, and pause, cancel or retry them. */
import { emitKeypressEvents } from 'node:readline'
import type { Command } from 'commander'
import type { Tally } from '../../client/jobs.ts'
import { messageOf } from '../../core/kept-error.ts'
import type { Duration } from '../../core/duration.ts'
import { toMs } from '../../core/duration.ts'
import type { Errand } from '../../errand.ts'
import { action, withApp } from '../action.ts'
import type { Globals } from '../globals.ts'
import type { ExitCode } from '../exit.ts'
import { examples } from '../help.ts'
import { duration } from '../options.ts'
import { drawScreen, enterScreen, leaveScreen, print, printJson } from '../terminal.ts'
import { look, queueRows, type Look } from '../top/look.ts'
import { press, type Key } from '../top/press.ts'
import { screen, views, type Place, type Wish } from '../top/screen.ts'

interface Options {
  readonly every: Duration
}

/** Rates are of the time since the look so many before. */
const keptLooks = 6
/** A store that takes longer is said to be away; in milliseconds. */
const lookWithinMs = 5_000
const leastEveryMs = 200

export function addTop(program: Command): void {
  const command = program
    .command('top')
    .summary('see queues, workers and jobs live')
    .description(
      'Show queues, workers, running and failed jobs, live, with keys to pause a queue, cancel a job or retry one. Where stdout is no terminal, it shows each once.',
    )
    .option('--every <duration>', 'how often it looks', duration, '2s')
    .action(action<Options, []>((options) => withApp(options, (errand) => top(errand, options))))
  examples(command, [
    ['errand top', 'live, until q'],
    ['errand top --store https://jobs.example', 'over HTTP'],
    ['errand top --json', 'one look, for programs'],
  ])
}

async function top(errand: Errand, options: Options & Globals): Promise<ExitCode> {
  if (options.json) {
    const now = await look(errand)
    printJson({ ...now, paused: undefined, queues: queueRows([now]) })
    return 0
  }
  if (!process.stdout.isTTY || !process.stdin.isTTY) {
    const looks = [await look(errand)]
    for (const view of views) {
      const place: Place = { view, row: -1, asked: null, note: '' }
      const rows = looks[0]?.[view === 'queues' ? 'queues' : view].length ?? 0
      const lines = screen(place, looks, whereOf(errand), { columns: 80, rows: rows + 8 })
      print(lines.slice(0, -2).join('\n').trimEnd())
    }
    return 0
  }
  await live(errand, Math.max(leastEveryMs, toMs(options.every, '--every')))
  return 0
}

function whereOf({ store }: Errand): string {
  return `${store.info.kind} ${store.info.location}`
}

/** Until the user leaves; the terminal is as it was then, whatever comes. */
async function live(errand: Errand, everyMs: number): Promise<void> {
  const { promise: left, resolve: leave } = Promise.withResolvers<void>()
  const session = new Session(errand, leave)
  const { stdin, stdout } = process
  const resized = (): void => session.draw()
  const pressed = (_: unknown, key: Key): void => session.press(key)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, leave)
  emitKeypressEvents(stdin)
  stdin.setRawMode(true)
  stdin.on('keypress', pressed)
  stdin.resume()
  stdout.on('resize', resized)
  enterScreen()
  const timer = setInterval(() => void session.look(), everyMs)
  try {
    session.draw()
    void session.look()
    await left
  } finally {
    clearInterval(timer)
    stdin.off('keypress', pressed)
    stdout.off('resize', resized)
    stdin.setRawMode(false)
    stdin.pause()
    leaveScreen()
  }
}

/** What is shown to one user. */
class Session {
  readonly #errand: Errand
  readonly #leave: () => void
  #looks: readonly Look[] = []
  #place: Place = { view: 'queues', row: 0, asked: null, note: '' }
  #isLooking = false

  constructor(errand: Errand, leave: () => void) {
    this.#errand = errand
    this.#leave = leave
  }

  draw(): void {
    const { columns, rows } = process.stdout
    drawScreen(screen(this.#place, this.#looks, whereOf(this.#errand), { columns, rows }))
  }

  /** Looks again, unless it still waits for the last look. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      const found = await within(look(this.#errand), lookWithinMs)
      this.#looks = [...this.#looks, found].slice(-keptLooks)
      if (this.#place.note.startsWith(away)) this.#note('')
    } catch (error) {
      this.#note(`${away}: ${messageOf(error)}`)
    } finally {
      this.#isLooking = false
      this.draw()
    }
  }

  press(key: Key): void {
    const { place, wish, quits } = press(this.#place, key, this.#looks)
    this.#place = place
    if (quits) return this.#leave()
    this.draw()
    if (wish !== null) void this.#do(wish)
  }

  async #do(wish: Wish): Promise<void> {
    try {
      this.#note(await within(carryOut(this.#errand, wish), lookWithinMs))
    } catch (error) {
      this.#note(`${wish.verb} failed: ${messageOf(error)}`)
    }
    await this.look()
  }

  #note(note: string): void {
    this.#place = { ...this.#place, note }
  }
}

const away = 'The store does not answer'

async function carryOut({ jobs, queues }: Errand, wish: Wish): Promise<string> {
  switch (wish.verb) {
    case 'pause':
      await queues.pause(wish.queue)
      return `${wish.queue} is paused`
    case 'resume':
      await queues.resume(wish.queue)
      return `${wish.queue} gives jobs again`
    case 'cancel':
      return `${wish.task}: ${answersOf(await jobs.cancel(wish.job))}`
    case 'retry':
      return `${wish.task}: ${answersOf(await jobs.retry(wish.job))}`
  }
}

function answersOf(tally: Tally<string>): string {
  return Object.keys(tally).join(', ')
}

async function within<T>(made: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1_000} s`)), ms)
  })
  try {
    return await Promise.race([made, late])
  } finally {
    clearTimeout(timer)
  }
}

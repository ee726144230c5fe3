/**
 * Keeps a number of worker processes running: starts them, replaces those that have ended, restarts
 * them one after another, and stops them all.
 */
import { ErrandError } from '../core/errors.ts'
import { messageOf } from '../core/kept-error.ts'
import { ownModule } from '../core/own-module.ts'
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../core/timers.ts'
import type { StopOptions } from '../worker/worker-options.ts'
import { CodeWatch } from './code-watch.ts'
import { manyTries, Place, type FailedStart, type Say } from './place.ts'
import type { ShouldRestart } from './should-restart.ts'
import { startProcess, wordsOf } from './worker-process.ts'

/** How often `shouldRestart` is called. */
const askMs = 1_000
/** One that drains for longer lets the next one be recycled as well. */
const turnMs = 10_000
/** What ends a process for wrong use or configuration: starting it again changes nothing. */
const wrongUse = 2

export interface SupervisorOptions {
  readonly processes: number
  /** The arguments of the command `errand` that each of them runs. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** How they stop, as these arguments say it. */
  readonly stop: StopOptions
  readonly shouldRestart: ShouldRestart | null
  /** Whether they are restarted when their code has changed. */
  readonly watch: boolean
  readonly say: Say
}

export class Supervisor {
  readonly places: readonly Place[]
  readonly #options: SupervisorOptions
  readonly #watch: CodeWatch | null
  /** Restarts, one after another. */
  #turns: Promise<void> = Promise.resolve()
  #rolling: Promise<void> | null = null
  /** The processes that are to be recycled. */
  readonly #recycling = new Set<number>()
  #hopeless: ((error: ErrandError) => void) | null = null
  #asking: NodeJS.Timeout | undefined
  #isStopping = false
  #hasThrown = false

  /** Throws `no-thread` in a bundle. */
  constructor(options: SupervisorOptions) {
    this.#options = options
    const command = ownModule('cli/main')
    if (command === null)
      throw new ErrandError(
        'no-thread',
        'Processes cannot be started: Errand is inside a bundle. Mark errand as external: see docs/with-your-tools.md.',
      )
    const { args, env, say, watch } = options
    this.#watch = watch
      ? new CodeWatch(
          (file) => this.#changed(file),
          (folder, error) => say('warn', `${folder} is not watched: ${messageOf(error)}`),
        )
      : null
    this.places = Array.from({ length: options.processes }, (_, index) => {
      const place: Place = new Place({
        index,
        of: options.processes,
        start: () => startProcess({ command, args, env }, { index, of: options.processes }),
        say,
        waitsForCode: watch,
        recycle: (why) => this.#recycle(place, why),
        modules: (urls) => this.#watch?.add(urls),
        failedToStart: (failed) => this.#failedToStart(place, failed),
      })
      return place
    })
  }

  /** Resolves once all have ended for good, with whether each did as it should. */
  get over(): Promise<boolean> {
    return this.#over()
  }

  /**
   * Starts the first, and when that is up the others; resolves when all are up. Rejects with
   * `cannot-start`, having stopped all, when one does not start: at once if it refuses its
   * configuration, else after five tries.
   */
  async start(): Promise<void> {
    const hopeless = new Promise<never>((_, reject) => (this.#hopeless = reject))
    hopeless.catch(() => undefined)
    const [first, ...others] = this.places
    try {
      first?.start()
      await Promise.race([first?.settled, hopeless])
      if (this.#isStopping) return
      for (const place of others) place.start()
      await Promise.race([Promise.all(others.map(({ settled }) => settled)), hopeless])
    } catch (error) {
      await this.stop({ grace: 0 })
      throw error
    } finally {
      this.#hopeless = null
    }
    if (this.#options.shouldRestart !== null && !this.#isStopping)
      this.#asking = setInterval(() => this.#ask(), askMs)
  }

  /** Restarts all, one after another, each new one up before the next one is told to stop. */
  roll(): Promise<void> {
    this.#rolling ??= this.#turn(async () => {
      // Whoever asks from now on means all of them once more.
      this.#rolling = null
      this.#options.say('info', 'restarts its processes, one after another')
      for (const place of this.places) {
        if (this.#isStopping) return
        await place.restart(this.#options.stop)
      }
    })
    return this.#rolling
  }

  /** Stops all and starts none. Resolves when all have ended; a further call may shorten the first. */
  async stop(options: StopOptions = {}): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#asking)
    this.#watch?.close()
    const asked = { ...this.#options.stop, ...options }
    await Promise.all(this.places.map((place) => place.stop(asked)))
  }

  /** Kills all at once. */
  kill(): void {
    for (const place of this.places) place.kill()
  }

  async #over(): Promise<boolean> {
    await Promise.all(this.places.map(({ over }) => over))
    clearInterval(this.#asking)
    this.#watch?.close()
    return this.places.every(({ isClean }) => isClean)
  }

  #turn(work: () => Promise<void>): Promise<void> {
    this.#turns = this.#turns.then(work)
    return this.#turns
  }

  /** Replaces a process once it has drained; what runs in it may take its time. */
  #recycle(place: Place, why: string): void {
    const { pid } = place
    if (pid === null || !place.isActive || this.#recycling.has(pid)) return
    this.#recycling.add(pid)
    void this.#turn(async () => {
      if (!this.#isStopping && place.isActive && place.pid === pid) {
        this.#options.say('info', `${place.name} is replaced: ${why}`, { pid })
        await within(turnMs, place.restart({ ...this.#options.stop, grace: 'none' }))
      }
      this.#recycling.delete(pid)
    })
  }

  #changed(file: string): void {
    if (this.#isStopping) return
    this.#options.say('info', `${file} has changed: restarts its processes after what they run`)
    for (const place of this.places) void place.restart({ ...this.#options.stop, grace: 'none' })
  }

  #ask(): void {
    const { shouldRestart, say } = this.#options
    if (shouldRestart === null) return
    try {
      for (const place of this.places) {
        const { usage } = place
        if (usage === null || !shouldRestart(usage)) continue
        this.#recycle(place, 'shouldRestart said so')
      }
      this.#hasThrown = false
    } catch (error) {
      // It is said once, until it works again.
      if (!this.#hasThrown) say('error', `shouldRestart threw: ${messageOf(error)}`, { err: error })
      this.#hasThrown = true
    }
  }

  #failedToStart({ name }: Place, { end, tries }: FailedStart): 'again' | 'give-up' {
    const isHopeless = end.code === wrongUse || tries >= manyTries
    if (this.#hopeless === null || this.#options.watch || !isHopeless) return 'again'
    const last = tries === 1 ? 'it' : `it was tried ${tries} times, and the last one`
    this.#hopeless(
      new ErrandError(
        'cannot-start',
        `${name} did not start: ${last} ${wordsOf(end)}; what it wrote says why.`,
        { details: { exitCode: end.code, signal: end.signal }, cause: end.cause },
      ),
    )
    return 'give-up'
  }
}

/** Waits for something, at most so long. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([work, late])
  clearTimeout(timer)
}

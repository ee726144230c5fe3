/** The schedules of one app's code, checked, and read once when they are first needed. */
import { ErrandError } from '../../core/errors.ts'
import { readList } from '../../core/read.ts'
import { shownValue } from '../../core/shown.ts'
import { checkName } from '../../core/text.ts'
import { setOf, type ScheduleSet } from './declarations.ts'
import { readDeclared, type Declared, type PlanRun, type Prepare } from './declared.ts'
import { isSchedule, type Schedule, type ScheduleDefinition } from './schedule.ts'
import { readTimezone } from './when.ts'

/** What `createErrand` takes beside. */
export interface ScheduleConfig {
  readonly schedules?: readonly Schedule[] | undefined
  /** The time zone of schedules that name none. Default UTC, never the machine's. */
  readonly timezone?: string | undefined
  /**
   * Whose schedules they are: apps on one store that declare different ones give themselves
   * different names. Default `'default'`.
   */
  readonly scheduler?: string | undefined
}

/** The most schedules that one app's code declares. */
const mostSchedules = 10_000

type ProcessRun = Extract<ScheduleDefinition, { readonly kind: 'process' }>

export class ScheduleBook {
  readonly scheduler: string
  readonly timezone: string
  /** Functions that run once in every process. */
  readonly processRuns: readonly ProcessRun[]
  readonly #schedules: readonly Schedule[]
  readonly #make: { readonly prepare: Prepare; readonly planRun: PlanRun }
  #reading: Promise<ReadonlyMap<string, Declared>> | null = null

  /** Throws `invalid-option`. */
  constructor(
    config: ScheduleConfig,
    make: { readonly prepare: Prepare; readonly planRun: PlanRun },
  ) {
    const where = 'createErrand()'
    const { schedules = [], timezone = 'UTC', scheduler = 'default' } = config
    checkName(scheduler, `${where}.scheduler`)
    this.scheduler = scheduler
    this.timezone = readTimezone(timezone, `${where}.timezone`)
    this.#schedules = readSchedules(schedules, `${where}.schedules`)
    this.processRuns = this.#schedules.flatMap(({ definition }) =>
      definition.kind === 'process' ? [definition] : [],
    )
    this.#make = make
  }

  /** Those that the store keeps, by name. Rejects as `enqueue` does, naming the schedule. */
  declared(): Promise<ReadonlyMap<string, Declared>> {
    this.#reading ??= this.#read()
    return this.#reading
  }

  /** What workers of this code declare; null for nothing. */
  async set(): Promise<ScheduleSet | null> {
    const declared = await this.declared()
    return declared.size === 0 ? null : setOf(this.scheduler, [...declared.values()])
  }

  /** Reads a schedule that is put at run time. */
  async read(schedule: Schedule): Promise<Declared> {
    if (!isSchedule(schedule)) throw notSchedule('What schedules.put() takes', schedule)
    const declared = await readDeclared(schedule, this.timezone, this.#make)
    if (declared === null || declared.run !== null)
      throw new ErrandError(
        'invalid-option',
        `schedule ${schedule.name} runs a function, which only code can hold: list it in createErrand({ schedules }).`,
      )
    if (declared.rule !== null || declared.choose !== null)
      throw new ErrandError(
        'invalid-option',
        `schedule ${schedule.name} has a function as at or missed, which only code can hold: list it in createErrand({ schedules }).`,
      )
    return declared
  }

  async #read(): Promise<ReadonlyMap<string, Declared>> {
    const read = new Map<string, Declared>()
    for (const schedule of this.#schedules) {
      const declared = await readDeclared(schedule, this.timezone, this.#make)
      if (declared !== null) read.set(declared.name, declared)
    }
    return read
  }
}

function readSchedules(schedules: readonly Schedule[], where: string): readonly Schedule[] {
  const names = new Set<string>()
  for (const [index, one] of readList(schedules, where, 'schedules').entries()) {
    if (!isSchedule(one)) throw notSchedule(`${where}[${index}]`, one)
    if (names.has(one.name))
      throw new ErrandError(
        'invalid-option',
        `Two schedules are called ${one.name}: give each a name of its own.`,
      )
    names.add(one.name)
  }
  if (schedules.length <= mostSchedules) return schedules
  throw new ErrandError(
    'invalid-option',
    `${where} lists ${schedules.length} schedules; code declares at most ${mostSchedules}. Put more with errand.schedules.put().`,
  )
}

function notSchedule(where: string, value: unknown): ErrandError {
  return new ErrandError(
    'invalid-option',
    `${where} must come from schedule(), not be ${shownValue(value)}.`,
  )
}

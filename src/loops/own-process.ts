/** Which of a supervisor's processes this one is: shown in its worker's record, its title and its log. */

export interface ProcessPlace {
  /** Counted from 0. */
  readonly index: number
  readonly of: number
}

/** The same in all copies of Errand: the command and the app may come from two. */
const mark = Symbol.for('errand.process')

export function markProcess(place: ProcessPlace): void {
  Reflect.set(globalThis, mark, place)
}

/** Null where no supervisor started this process. */
export function ownProcess(): ProcessPlace | null {
  return (Reflect.get(globalThis, mark) as ProcessPlace | undefined) ?? null
}

/** As people read it, counted from 1: `2/4`. */
export function shownPlace({ index, of }: ProcessPlace): string {
  return `${index + 1}/${of}`
}

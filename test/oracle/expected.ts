/** The rule of ticks, word by word, for each step of a table. */
import type { When } from '../../src/flows/schedules/ticks.ts'
import type { PlainRule } from './plain-rule.ts'
import type { WallTable } from './wall-table.ts'

/** A tick that belongs into a window: the step of the table, and the name. */
export interface Expected {
  readonly step: number
  readonly name: string
}

/** The ticks of a rule in a window, without its lead. */
export function expectedTicks(
  rule: PlainRule,
  dst: (When & { kind: 'cron' })['dst'],
  table: WallTable,
): Expected[] {
  const { walls, occurrences, forward, stepMs, lead } = table
  const stepsOfDay = 86_400_000 / stepMs
  const secondsOfStep = stepMs / 1_000
  const matches = (wall: number): boolean => {
    const day = Math.floor(wall / stepsOfDay)
    return rule.times[(wall - day * stepsOfDay) * secondsOfStep] === 1 && rule.hasDay(day)
  }
  const found: Expected[] = []
  let jumps = 0
  for (let step = lead; step < walls.length; step++) {
    const wall = walls[step] ?? 0
    const occurrence = occurrences[step] ?? 1
    while ((forward[jumps] ?? Infinity) < step) jumps++
    if (rule.isElapsed) {
      // Wherever clocks show it.
      if (matches(wall)) found.push({ step, name: nameOf(wall * stepMs, occurrence) })
    } else if (occurrence === 1 && matches(wall)) {
      // The first time that clocks show it.
      found.push({ step, name: nameOf(wall * stepMs, 1) })
    } else if (dst === 'run' && forward[jumps] === step) {
      // Never shown: one for the whole gap, named by the last.
      for (let missed = wall - 1; missed > (walls[step - 1] ?? wall); missed--) {
        if (!matches(missed)) continue
        found.push({ step, name: nameOf(missed * stepMs, 1) })
        break
      }
    }
  }
  return found
}

function nameOf(wall: number, occurrence: number): string {
  const text = new Date(wall).toISOString().slice(0, 19)
  return occurrence === 1 ? text : `${text}#${occurrence}`
}

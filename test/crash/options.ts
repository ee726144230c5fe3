/** What the command line asks for. */
import { parseArgs } from 'node:util'
import { ErrandError } from '../../src/core/errors.ts'
import type { Least } from './figures.ts'
import { sabotages, type Sabotage } from './parts.ts'

export interface Options {
  readonly seed: string
  readonly seconds: number
  /** URL of an empty store; null for a file of the run's own. */
  readonly store: string | null
  readonly sabotage: Sabotage | null
  readonly least: Least
  readonly keep: boolean
}

export const usage = `npm run crash -- --seed <n> [options]
  --seed <n>           what befalls the processes and what they enqueue follows from it
  --seconds <n>        how long jobs flow in (60)
  --store <url>        an empty store (a new SQLite file, removed after a clean run)
  --sabotage fencing   let workers settle with leases that they have lost; the run must then fail
  --least-kills <n>    a run with fewer fails (30)
  --least-rescues <n>  (100)
  --least-refusals <n> settlements that the store refused as stale (20)
  --keep               leave ledgers and logs behind after a clean run as well`

const known = {
  seed: { type: 'string' },
  seconds: { type: 'string', default: '60' },
  store: { type: 'string' },
  sabotage: { type: 'string' },
  'least-kills': { type: 'string', default: '30' },
  'least-rescues': { type: 'string', default: '100' },
  'least-refusals': { type: 'string', default: '20' },
  keep: { type: 'boolean', default: false },
} as const

/** Reads the arguments. Throws `invalid-option`. */
export function readOptions(args: readonly string[]): Options {
  const values = parse(args)
  if (values.seed === undefined) throw refused('--seed is missing')
  return {
    seed: values.seed,
    seconds: count('seconds', values.seconds),
    store: values.store ?? null,
    sabotage: values.sabotage === undefined ? null : readSabotage(values.sabotage),
    keep: values.keep,
    least: {
      kills: count('least-kills', values['least-kills']),
      rescues: count('least-rescues', values['least-rescues']),
      refusals: count('least-refusals', values['least-refusals']),
    },
  }
}

function parse(
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof known }>>['values'] {
  try {
    return parseArgs({ args: [...args], options: known }).values
  } catch (error) {
    throw refused((error as Error).message)
  }
}

function count(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw refused(`--${name} must be a whole number, not ${text}`)
  return Number(text)
}

function readSabotage(text: string): Sabotage {
  const found = sabotages.find((one) => one === text)
  if (found === undefined) throw refused(`--sabotage knows ${sabotages.join(', ')}, not ${text}`)
  return found
}

function refused(why: string): ErrandError {
  return new ErrandError('invalid-option', why)
}

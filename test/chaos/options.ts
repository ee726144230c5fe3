/** What the command line asks for. */
import { parseArgs } from 'node:util'
import { ErrandError } from '../../src/core/errors.ts'
import { aofs, type Aof } from './ground.ts'
import { misfortuneKinds, type Misfortune } from './misfortunes.ts'
import { leastNames, leastPerMinute, type Least } from './least.ts'
import { sabotages, type Sabotage } from './parts.ts'

export interface Options {
  readonly seed: string
  readonly minutes: number
  /** How many workers. */
  readonly workers: number
  /** The name of a store that the run makes for itself, or the URL of an empty one. */
  readonly store: string
  readonly aof: Aof
  readonly sabotage: Sabotage | null
  /** The misfortunes that may happen; null for all that the store offers. */
  readonly only: readonly Misfortune[] | null
  /** What was asked for; the rest follows from the minutes. */
  readonly least: Partial<Least>
  readonly keep: boolean
}

/** The name of the option that asks for a least. */
export function leastFlag(name: keyof Least): string {
  return `least-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

const leastFlags = leastNames.map((name) => ({ name, flag: leastFlag(name) }))

export const usage = `npm run chaos -- --store <store> [options]
  --store <store>      sqlite, postgres, redis or redis-cluster for one of the run's own, whose server suffers too; http for
                       a manager of its own before a file, which suffers as a server does;
                       or the URL of an empty one, whose server is left alone
  --minutes <n>        how long jobs flow in (10)
  --workers <n>        how many workers run them (6)
  --seed <text>        what befalls the processes and what they enqueue follows from it (1)
  --aof <how>          how Redis keeps its file: always, or everysec, and then its server is not killed (always)
  --only <misfortunes> of what befalls a run, only these, with commas between them; nothing but jobs is then asked for by default:
                       ${misfortuneKinds.join(', ')}
  --sabotage fencing   let workers settle with leases that they have lost; the run must then fail
  --keep               leave ledgers and logs behind after a clean run as well
A run in which too little happens fails; by default a minute must see so much:
${leastFlags.map(({ name, flag }) => `  --${flag} <n>`.padEnd(25) + leastPerMinute[name]).join('\n')}`

const known = {
  store: { type: 'string' },
  minutes: { type: 'string', default: '10' },
  workers: { type: 'string', default: '6' },
  seed: { type: 'string', default: '1' },
  aof: { type: 'string', default: 'always' },
  sabotage: { type: 'string' },
  only: { type: 'string' },
  keep: { type: 'boolean', default: false },
} as const

/** Reads the arguments. Throws `invalid-option`. */
export function readOptions(args: readonly string[]): Options {
  const values = parse(args)
  const text = (name: string): string | undefined => values[name] as string | undefined
  const store = text('store')
  if (store === undefined) throw refused('--store is missing')
  const least = leastFlags.flatMap(({ name, flag }) => {
    const asked = text(flag)
    return asked === undefined ? [] : [[name, numberOf(flag, asked)]]
  })
  const sabotage = text('sabotage')
  const only = text('only')
  return {
    store,
    seed: text('seed')!,
    minutes: numberOf('minutes', text('minutes')!),
    workers: numberOf('workers', text('workers')!),
    aof: oneOf('aof', aofs, text('aof')!),
    sabotage: sabotage === undefined ? null : oneOf('sabotage', sabotages, sabotage),
    only: only?.split(',').map((one) => oneOf('only', misfortuneKinds, one)) ?? null,
    keep: values['keep'] === true,
    least: Object.fromEntries(least) as Partial<Least>,
  }
}

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const leasts = leastFlags.map(({ flag }) => [flag, { type: 'string' }] as const)
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { ...known, ...Object.fromEntries(leasts) },
    })
    return values
  } catch (error) {
    throw refused((error as Error).message)
  }
}

function numberOf(name: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw refused(`--${name} must be a number, not ${text}`)
  return Number(text)
}

function oneOf<T extends string>(name: string, all: readonly T[], text: string): T {
  const found = all.find((one) => one === text)
  if (found === undefined) throw refused(`--${name} knows ${all.join(', ')}, not ${text}`)
  return found
}

function refused(why: string): ErrandError {
  return new ErrandError('invalid-option', why)
}

/** Looks for a list of commands on which store and model differ, and for the shortest of its kind. */
import fc from 'fast-check'
import { commandLists, type Command } from './commands.ts'
import { edges, type Edge } from './edges.ts'
import type { Ground } from './places.ts'
import { run, type Place, type Tally } from './run.ts'

export interface SearchOptions {
  readonly runs: number
  /** Commands of a run. */
  readonly commands: number
  readonly seed: number
  /** Where a failure was found before; null to look from the start. */
  readonly path?: string | null
  /** Told from time to time how many runs are behind. */
  readonly onProgress?: (runs: number) => void
}

export interface Findings {
  readonly runs: number
  readonly commands: number
  /** How often each row of the table of states was taken. */
  readonly edges: ReadonlyMap<Edge, number>
  /** What the store and the model differ in, with the calls that lead there; null when they agree. */
  readonly difference: string | null
}

/** How long to look for a shorter list of commands after the first that failed. */
const shortenForMs = 90_000

export async function search(ground: Ground, options: SearchOptions): Promise<Findings> {
  const { runs, commands, seed, path = null, onProgress = () => {} } = options
  const tally: Tally = { commands: 0, edges: new Map(edges.map((edge) => [edge, 0])) }
  let done = 0
  let first: { readonly at: number; readonly text: string } | null = null
  const property = fc.asyncProperty(commandLists(commands), async (list: readonly Command[]) => {
    // Enough was left out: the rest of the shorter lists count as good.
    if (first !== null && performance.now() - first.at > shortenForMs) return
    const place: Place = await ground.open()
    try {
      await run(place, list, tally)
    } catch (error) {
      first ??= { at: performance.now(), text: textOf(error) }
      throw error
    } finally {
      await place.dispose()
    }
    onProgress((done += 1))
  })
  const details = await fc.check(property, {
    numRuns: runs,
    seed,
    ...(path === null ? {} : { path }),
  })
  return {
    runs: details.numRuns,
    commands: tally.commands,
    edges: tally.edges,
    difference: details.failed
      ? `seed ${details.seed}, path ${details.counterexamplePath}\n${differenceOf(details.errorInstance, first)}`
      : null,
  }
}

/** The shortest failure; and the first, which may be of another kind where it hangs on who came first. */
function differenceOf(last: unknown, first: { readonly text: string } | null): string {
  const text = textOf(last)
  return first === null || first.text === text ? text : `${text}\n\nat first\n${first.text}`
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the demo prints at its end. */
import { relative } from 'node:path'
import type { Errand } from 'errand'
import { table } from '../src/cli/table.ts'
import { compress } from './tasks.ts'

interface Done {
  readonly path: string
  readonly bytes: number
  readonly compressed: number
  readonly ms: number
}

/** What is known of the files of one run, read from the store. */
export interface Results {
  readonly done: readonly Done[]
  readonly troubled: number
}

/** Reads the results of the given files, page by page. */
export async function readResults(errand: Errand, paths: readonly string[]): Promise<Results> {
  const wanted = new Set(paths)
  const done: Done[] = []
  let troubled = 0
  let after: string | null = null
  do {
    const page = await errand.jobs.list({
      task: compress.name,
      state: ['completed', 'failed', 'discarded'],
      limit: 1_000,
      ...(after === null ? {} : { after }),
    })
    for (const { state, input, output } of page.jobs) {
      const { path } = input as { readonly path: string }
      if (!wanted.has(path)) continue
      if (state === 'completed') done.push({ path, ...(output as Omit<Done, 'path'>) })
      else troubled += 1
    }
    after = page.next
  } while (after !== null)
  return { done, troubled }
}

/** Writes the table of totals and the slowest files. */
export function report(
  { done, troubled }: Results,
  run: { readonly jobs: number; readonly ms: number },
  folder: string,
): string {
  const bytes = sum(done.map((one) => one.bytes))
  const packed = sum(done.map((one) => one.compressed))
  const slowest = done.toSorted((a, b) => b.ms - a.ms).slice(0, 5)
  const totals: readonly (readonly [string, string])[] = [
    ['files', done.length.toLocaleString('en')],
    ['failed or gone', troubled === 0 ? '' : troubled.toLocaleString('en')],
    ['bytes in', megabytes(bytes)],
    ['bytes out', megabytes(packed)],
    ['ratio', bytes === 0 ? '–' : `${((packed / bytes) * 100).toFixed(1)} %`],
    ['done in this run', `${run.jobs.toLocaleString('en')} in ${(run.ms / 1_000).toFixed(1)} s`],
    ['jobs/s', run.jobs === 0 ? '–' : Math.round((run.jobs / run.ms) * 1_000).toLocaleString('en')],
  ]
  return [
    table(
      [{ title: 'total' }, { title: '', align: 'right' }],
      totals.filter(([, value]) => value !== ''),
    ),
    '',
    table(
      [
        { title: 'slowest', shrinks: true },
        { title: 'size', align: 'right' },
        { title: 'took', align: 'right' },
      ],
      slowest.map((one) => [
        relative(folder, one.path),
        megabytes(one.bytes),
        `${one.ms.toFixed(1)} ms`,
      ]),
    ),
  ].join('\n')
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

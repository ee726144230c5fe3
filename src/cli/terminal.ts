/** What the commands write: values on stdout, remarks on stderr. */
import { styleText, stripVTControlCharacters } from 'node:util'

type Format = Parameters<typeof styleText>[0]

/** Writes a line to stdout. */
export function print(text = ''): void {
  process.stdout.write(`${text}\n`)
}

/** Writes one JSON value to stdout: indented for people, on one line for programs. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value ?? null, null, process.stdout.isTTY ? 2 : undefined))
}

/** Writes a line to stderr. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Colours a text, if stdout is a terminal that shows colours. */
export function paint(format: Format, text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

/** Columns that a line on stdout may take; without bound when no person looks at it. */
export function outWidth(): number {
  return process.stdout.isTTY ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY
}

/** How many columns a text takes, its colours left out. */
export function widthOf(text: string): number {
  return stripVTControlCharacters(text).length
}

/** Resolves when what was written has left the process. */
export async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
    ),
  )
}

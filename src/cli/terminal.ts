/**
 * What the commands write: values on stdout, remarks on stderr. Names, errors and log lines come from elsewhere and may hold control
 * characters, so what is written here shows them and does nothing that they say. Colours of our own carry a mark until then.
 */
import { randomBytes } from 'node:crypto'
import { styleText } from 'node:util'
import { visible } from '../core/shown.ts'

type Format = Parameters<typeof styleText>[0]

const escape = '\u001B'
/** Stands for the escape of our own colours; no text from elsewhere can know it. */
const mark = `\uE000${randomBytes(8).toString('hex')}`
const ownColours = new RegExp(`${mark}\\[[0-9;]*m`, 'g')

const writeOut = process.stdout.write.bind(process.stdout)

/** Sends to stderr what anything but a command's answer writes to stdout, such as a configuration that prints while it loads. */
export function keepStdoutPure(): void {
  process.stdout.write = process.stderr.write.bind(process.stderr)
}

/** Writes a line to stdout. */
export function print(text = ''): void {
  writeOut(`${visible(text).replaceAll(mark, escape)}\n`)
}

/** Writes one JSON value to stdout: indented for people, on one line for programs. */
export function printJson(value: unknown): void {
  const json = JSON.stringify(value ?? null, null, process.stdout.isTTY ? 2 : undefined)
  writeOut(`${json.replaceAll(unescapedInJson, escapedInJson)}\n`)
}

/** Control characters that JSON leaves as they are, though it may escape them. */
const unescapedInJson = /(?!\n)[\p{Cc}\u2028-\u202E\u2066-\u2069]/gu

function escapedInJson(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Writes a line to stderr. */
export function remark(text: string): void {
  process.stderr.write(`${visible(text)}\n`)
}

/** Colours a text, if stdout is a terminal that shows colours. */
export function paint(format: Format, text: string): string {
  return asOurs(styleText(format, visible(text), { stream: process.stdout }))
}

/** Marks the colours of a text that holds no other control characters, such as what `inspect` gives. */
export function asOurs(text: string): string {
  return text.replaceAll(escape, mark)
}

/** Columns that a line on stdout may take; without bound when no person looks at it. */
export function outWidth(): number {
  return process.stdout.isTTY ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY
}

/** How many columns a text takes, its colours left out. */
export function widthOf(text: string): number {
  return text.replaceAll(ownColours, '').length
}

const writers: (() => Promise<void>)[] = []

/** Has the end of the process wait for a writer of its own to stdout, such as a log. */
export function waitAtEnd(written: () => Promise<void>): void {
  writers.push(written)
}

/** Resolves when what was written has left the process. */
export async function flushed(): Promise<void> {
  await Promise.all(writers.map((written) => written()))
  await Promise.all(
    [writeOut, process.stderr.write.bind(process.stderr)].map(
      (write) => new Promise<void>((resolve) => write('', () => resolve())),
    ),
  )
}

/** Takes the whole screen of the terminal, which comes back as it was. */
export function enterScreen(): void {
  writeOut(`${escape}[?1049h${escape}[?25l`)
}

export function leaveScreen(): void {
  writeOut(`${escape}[?25h${escape}[?1049l`)
}

/** Shows lines in place of what the screen shows, without a flicker. */
export function drawScreen(lines: readonly string[]): void {
  const drawn = lines.map((one) => `${visible(one).replaceAll(mark, escape)}${escape}[K`)
  writeOut(`${escape}[H${drawn.join('\r\n')}${escape}[J`)
}

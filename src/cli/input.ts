/** The input of what is started from the command line: JSON as an argument, from a file or from standard input. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { both, withDigits } from '../core/digits.ts'
import { ErrandError } from '../core/errors.ts'

/** Reads it with all digits of its numbers. Throws `invalid-option` and `not-json`. */
export async function readInput(
  json: string | undefined,
  file: string | undefined,
): Promise<unknown> {
  if (json !== undefined && file !== undefined) {
    throw new ErrandError(
      'invalid-option',
      'The input is given either as JSON or with --input-file, not both.',
    )
  }
  if (file !== undefined && file !== '-') {
    const read = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new ErrandError('invalid-option', `--input-file ${file} cannot be read.`, { cause })
    })
    return parse(read, file)
  }
  if (json === '-' || file === '-') return parse(await text(process.stdin), 'standard input')
  return json === undefined ? undefined : parse(json, 'the input')
}

function parse(json: string, what: string): unknown {
  try {
    const value: unknown = JSON.parse(json)
    return both(value, withDigits(json, value))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ErrandError('not-json', `${what} is not JSON: ${why}`, { cause })
  }
}

/** What a task says of itself to those who call it from elsewhere: the words of its page in the document of the API. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ErrandError } from './errors.ts'
import { fromJson, toJson } from './json.ts'
import { readList, readQueueName, refuseValue } from './read.ts'
import { checkName } from './text.ts'

/** Bounds of what a task may say of itself. */
const bounds = {
  descriptionChars: 5_000,
  examples: 10,
  /** Of all examples together, as JSON. */
  exampleChars: 16_384,
  tags: 10,
  queues: 20,
} as const

export interface TaskAbout {
  readonly description: string | null
  /** Plain JSON. */
  readonly examples: readonly unknown[]
  readonly tags: readonly string[]
}

/** Reads what `task()` was given. Throws `invalid-task`, `invalid-option` and `not-json`. */
export function readAbout(
  given: {
    readonly description?: unknown
    readonly examples?: unknown
    readonly tags?: unknown
  },
  input: StandardSchemaV1 | null,
  where: string,
): TaskAbout {
  const { description, examples = [], tags = [] } = given
  return {
    description: description === undefined ? null : readDescription(description, where),
    examples: readExamples(examples as readonly unknown[], input, `${where}.examples`),
    tags: readTags(tags as readonly unknown[], `${where}.tags`),
  }
}

/** The queues of a task, the first of which is its default; none where it names none. */
export function readQueues(given: unknown, where: string): readonly string[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) return [readQueueName(given, where)]
  const names = given.map((name: unknown) => readQueueName(name, where))
  if (names.length === 0 || names.length > bounds.queues)
    refuseValue(where, `a name or 1 to ${bounds.queues} names`, given)
  if (new Set(names).size < names.length)
    throw new ErrandError('invalid-option', `${where} names a queue twice.`)
  return names
}

function readDescription(given: unknown, where: string): string {
  const isFit =
    typeof given === 'string' &&
    given.length <= bounds.descriptionChars &&
    given.isWellFormed() &&
    !given.includes('\0')
  if (isFit) return given
  return refuseValue(
    `${where}.description`,
    `a text of at most ${bounds.descriptionChars} characters`,
    given,
  )
}

function readExamples(
  given: readonly unknown[],
  input: StandardSchemaV1 | null,
  where: string,
): readonly unknown[] {
  const examples = readList(given, where, 'inputs')
  const text = toJson(examples, where)
  if (examples.length > bounds.examples || text.length > bounds.exampleChars)
    throw new ErrandError(
      'invalid-option',
      `${where} has ${examples.length} examples of ${text.length} characters of JSON; at most ${bounds.examples} of together ${bounds.exampleChars} are shown.`,
    )
  if (input !== null)
    for (const [index, example] of examples.entries())
      refuseMisfit(input, example, `${where}[${index}]`)
  return fromJson(text, where) as readonly unknown[]
}

/** A schema that checks asynchronously is not waited for: definitions are made at once. */
function refuseMisfit(input: StandardSchemaV1, example: unknown, where: string): void {
  const result = input['~standard'].validate(example)
  if (result instanceof Promise) {
    // What it throws belongs to a check that nobody asked for.
    result.catch(() => undefined)
    return
  }
  const [issue] = result.issues ?? []
  if (issue === undefined) return
  throw new ErrandError(
    'invalid-task',
    `${where} does not fit the task's own input schema: ${issue.message}`,
  )
}

function readTags(given: readonly unknown[], where: string): readonly string[] {
  const tags = readList(given, where, 'texts')
  if (tags.length > bounds.tags) refuseValue(where, `a list of at most ${bounds.tags} texts`, given)
  return [
    ...new Set(
      tags.map((tag) => {
        checkName(tag, where)
        return tag
      }),
    ),
  ]
}

/** Holds answers to the document, and to what callers may know. */
import assert from 'node:assert/strict'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Caller } from '../../src/manager/caller.ts'
import type { Page } from '../../src/store/readers.ts'
import { queues, secretOf, type Ground } from './ground.ts'
import type { Draft, OpenApi } from './requests.ts'
import { lookUp } from './values.ts'

interface AnswerText {
  readonly status: number
  readonly type: string
  readonly text: string
}

type Responses = Readonly<
  Record<string, { readonly $ref?: string; readonly content?: Readonly<Record<string, object>> }>
>

export class Judge {
  readonly #document: OpenApi
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false })
  readonly #checks = new Map<string, ValidateFunction>()
  readonly #seen = new Set<string>()

  constructor(document: OpenApi) {
    this.#document = document
    this.#ajv.addSchema(document, 'document')
  }

  /** Throws for an answer that may not be. */
  answer(draft: Draft, answer: AnswerText, ground: Ground): void {
    const { status, text, type } = answer
    const shown = `${draft.method} ${draft.path} answered ${status} ${text.slice(0, 500)}`
    assert.ok(status < 500, shown)
    if (status >= 400) this.#problem(answer, draft, shown)
    else if (draft.template === null)
      assert.ok(['GET', 'HEAD', 'POST', 'DELETE'].includes(draft.method), shown)
    else this.#described(draft, answer, shown)
    if (type.startsWith('application/json') && text !== '') JSON.parse(text)
    const who = ground.callers.get(draft.who) ?? null
    if (
      status < 400 &&
      draft.template?.startsWith('/v1') === true &&
      !isOpen(this.#document, draft)
    )
      assert.ok(who !== null && who.scopes.size > 0, `${draft.who}: ${shown}`)
    this.#leaks(draft, text, who, ground)
  }

  /** Throws for a stored job whose input does not fit the schema of its task. */
  async stored({ store }: Ground): Promise<void> {
    const schemas = new Map(
      (await store.tasks()).map(({ name, inputSchema }) => [name, inputSchema]),
    )
    let after: string | null = null
    do {
      const page: Page = await store.list({ limit: 1_000, ...(after === null ? {} : { after }) })
      for (const { id, task, input } of page.jobs) {
        if (this.#seen.has(id)) continue
        this.#seen.add(id)
        const schema = schemas.get(task)
        if (schema === null || schema === undefined || input === null) continue
        const check = this.#checkOf(`task ${task}`, () => JSON.parse(schema) as object)
        assert.ok(check(JSON.parse(input)), `${task} ${id} was stored with ${input.slice(0, 500)}`)
      }
      after = page.next
    } while (after !== null)
  }

  #problem({ text, status, type }: AnswerText, { method }: Draft, shown: string): void {
    assert.equal(type, 'application/problem+json', shown)
    if (method === 'HEAD') return
    const problem = JSON.parse(text) as { readonly status: number; readonly code: string }
    const check = this.#checkOf('problem', () => ({ $ref: 'document#/components/schemas/Problem' }))
    assert.ok(check(problem), `${shown}: ${this.#ajv.errorsText(check.errors)}`)
    assert.equal(problem.status, status, shown)
    assert.notEqual(problem.code, 'internal', shown)
  }

  #described(draft: Draft, { status, type, text }: AnswerText, shown: string): void {
    const responses = operationOf(this.#document, draft)?.['responses'] as Responses
    const response = responses[String(status)]
    assert.ok(response !== undefined, `The document does not have: ${shown}`)
    const [media, content] = Object.entries(response.content ?? {})[0] ?? []
    if (media === undefined || content === undefined) return
    assert.equal(type.split(';')[0], media, shown)
    if (media !== 'application/json') return
    const key = `${draft.method} ${draft.template} ${status}`
    const check = this.#checkOf(key, () => ({
      $ref: `document#${pointerTo(['paths', draft.template ?? '', draft.method.toLowerCase(), 'responses', String(status), 'content', media, 'schema'])}`,
    }))
    assert.ok(check(JSON.parse(text)), `${shown}: ${this.#ajv.errorsText(check.errors)}`)
  }

  #leaks(draft: Draft, text: string, who: Caller | null, ground: Ground): void {
    const mayTouch = (queue: string): boolean => who?.queues?.has(queue) ?? who !== null
    // To take a job, or to claim it, is to get it: that is what the scopes are for.
    const takes =
      (draft.template?.endsWith('/take') === true && who?.scopes.has('operate') === true) ||
      (draft.template === '/v1/work/claim' && who?.scopes.has('work') === true)
    for (const queue of queues) {
      if (!text.includes(secretOf(queue))) continue
      const may = who !== null && mayTouch(queue) && (who.scopes.has('read') || takes)
      assert.ok(
        may,
        `${draft.who} got ${secretOf(queue)}: ${draft.method} ${draft.path} ${text.slice(0, 500)}`,
      )
    }
    for (const { token } of ground.tokens)
      assert.ok(!text.includes(token), `${draft.method} ${draft.path} showed a token: ${text}`)
    for (const [id, queue] of ground.queueOf) {
      if (mayTouch(queue) || !text.includes(id)) continue
      const asked = JSON.stringify([
        draft.path,
        draft.query,
        String(draft.body),
        draft.headers,
      ]).includes(id)
      assert.ok(
        asked,
        `${draft.who} heard of a job of ${queue}: ${draft.method} ${draft.path} …${text.slice(Math.max(0, text.indexOf(id) - 300), text.indexOf(id) + 100)}`,
      )
    }
  }

  #checkOf(key: string, schema: () => object): ValidateFunction {
    const known = this.#checks.get(key)
    if (known !== undefined) return known
    const made = this.#ajv.compile(schema())
    this.#checks.set(key, made)
    return made
  }
}

function operationOf(
  document: OpenApi,
  { template, method }: Draft,
): Readonly<Record<string, unknown>> | undefined {
  return lookUp(document, `#${pointerTo(['paths', template ?? '', method.toLowerCase()])}`) as
    | Readonly<Record<string, unknown>>
    | undefined
}

/** Whether everybody may call it. */
function isOpen(document: OpenApi, draft: Draft): boolean {
  return (operationOf(document, draft)?.['security'] as unknown[] | undefined)?.length === 0
}

function pointerTo(keys: readonly string[]): string {
  return keys
    .map((key) => `/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`)
    .join('')
}

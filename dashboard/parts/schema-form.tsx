/** A form for an input, made of its JSON Schema; any input can be written as JSON instead. */
import { useState } from 'preact/hooks'
import { Digits, numberOf, parseJson, prettyJson } from '../json.ts'
import type { JsonSchema } from '../types.ts'

interface Props {
  readonly schema: JsonSchema | boolean | null
  readonly initial?: unknown
  readonly action: string
  /** Sends the input; rejects with what the manager says of it. */
  readonly send: (input: unknown) => Promise<unknown>
}

const simpleTypes = ['string', 'number', 'integer', 'boolean']

/** The fields of a schema that a form can show: an object of plain values. */
function fieldsOf(schema: Props['schema']): readonly (readonly [string, JsonSchema])[] | null {
  if (schema === null || typeof schema === 'boolean' || schema.properties === undefined) return null
  const fields = Object.entries(schema.properties)
  const isSimple = fields.every(
    ([, { type, enum: choices }]) =>
      choices !== undefined || (typeof type === 'string' && simpleTypes.includes(type)),
  )
  return isSimple && fields.length > 0 && fields.length <= 30 ? fields : null
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function SchemaForm({ schema, initial, action, send }: Props) {
  const fields = fieldsOf(schema)
  const startsAsForm = fields !== null && (initial === undefined || isPlainObject(initial))
  const [isForm, setForm] = useState(startsAsForm)
  const [values, setValues] = useState<Record<string, unknown>>(
    isPlainObject(initial) ? initial : defaultsOf(fields),
  )
  const [text, setText] = useState(prettyJson(initial ?? defaultsOf(fields)))
  const [problem, setProblem] = useState<string | null>(null)
  const [isSending, setSending] = useState(false)

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setProblem(null)
    let input: unknown = values
    if (!isForm) {
      try {
        input = parseJson(text)
      } catch (error) {
        setProblem(`This is no JSON: ${(error as Error).message}`)
        return
      }
    }
    setSending(true)
    await send(input).catch((error: unknown) => {
      setProblem(error instanceof Error ? error.message : String(error))
    })
    setSending(false)
  }
  const change = (name: string, value: unknown): void => {
    const { [name]: _old, ...others } = values
    setValues(value === undefined ? others : { ...others, [name]: value })
  }
  const swap = (): void => {
    if (isForm) setText(prettyJson(values))
    else {
      try {
        const parsed = parseJson(text)
        if (isPlainObject(parsed)) setValues(parsed)
      } catch {
        setProblem('This is no JSON; the form keeps what it had.')
      }
    }
    setForm(!isForm)
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      {isForm && fields !== null ? (
        fields.map(([name, field]) => (
          <Field
            key={name}
            name={name}
            schema={field}
            isRequired={(schema as JsonSchema).required?.includes(name) ?? false}
            value={values[name]}
            onChange={(value) => change(name, value)}
          />
        ))
      ) : (
        <label class="field">
          Input as JSON
          <textarea
            class="mono"
            rows={10}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      )}
      {problem !== null && (
        <p class="failure" role="alert">
          {problem}
        </p>
      )}
      <p class="actions">
        {fields !== null && (
          <button type="button" class="plain" onClick={swap}>
            {isForm ? 'Write it as JSON' : 'Use the form'}
          </button>
        )}
        <button type="submit" class="main" disabled={isSending}>
          {action}
        </button>
      </p>
    </form>
  )
}

function defaultsOf(fields: ReturnType<typeof fieldsOf>): Record<string, unknown> {
  const given = (fields ?? []).filter(([, schema]) => schema.default !== undefined)
  return Object.fromEntries(given.map(([name, schema]) => [name, schema.default]))
}

interface FieldProps {
  readonly name: string
  readonly schema: JsonSchema
  readonly isRequired: boolean
  readonly value: unknown
  readonly onChange: (value: unknown) => void
}

function Field({ name, schema, isRequired, value, onChange }: FieldProps) {
  const { type, description, enum: choices } = schema
  // A number field of a browser empties itself of what no double reaches, such as 1e400.
  const [isBeyond] = useState(value instanceof Digits && !Number.isFinite(Number(value.text)))
  const label = (
    <span>
      {name}
      {isRequired && <span aria-hidden="true"> *</span>}
      {description !== undefined && <small class="hush"> {description}</small>}
    </span>
  )
  if (choices !== undefined)
    return (
      <label class="field">
        {label}
        <select
          value={choices.indexOf(value)}
          required={isRequired}
          onChange={(event) => onChange(choices[Number(event.currentTarget.value)])}
        >
          <option value={-1}>–</option>
          {choices.map((choice, index) => (
            <option key={index} value={index}>
              {String(choice)}
            </option>
          ))}
        </select>
      </label>
    )
  if (type === 'boolean')
    return (
      <label class="field check">
        <input
          type="checkbox"
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
        {label}
      </label>
    )
  const change = (typed: string): void => {
    if (typed === '' && (isNumber || !isRequired)) onChange(undefined)
    else onChange(isNumber ? (numberOf(typed) ?? undefined) : typed)
  }
  const isNumber = type === 'number' || type === 'integer'
  const shown =
    typeof value === 'string' || typeof value === 'number' || value instanceof Digits
      ? String(value)
      : ''
  return (
    <label class="field">
      {label}
      {isNumber && isBeyond ? (
        <input
          type="text"
          inputMode="decimal"
          pattern="-?[0-9]+(\.[0-9]+)?([eE][+\-]?[0-9]+)?"
          required={isRequired}
          value={shown}
          onInput={(event) => change(event.currentTarget.value)}
        />
      ) : isNumber ? (
        <input
          type="number"
          step={type === 'integer' ? 1 : 'any'}
          min={schema.minimum}
          max={schema.maximum}
          required={isRequired}
          value={shown}
          onInput={(event) => change(event.currentTarget.value)}
        />
      ) : (
        <input type="text" value={shown} onInput={(event) => change(event.currentTarget.value)} />
      )}
    </label>
  )
}

/**
 * A response whose body is a text that is known. The platform's own makes headers and a stream of it
 * at once, which takes longer than all the rest of an answer, and which a server of Node takes apart
 * again. This one makes them when somebody asks.
 */

type Fields = Record<string, string>

interface Parts {
  readonly text: string
  readonly status: number
  /** By their names in small letters, until somebody asks for `headers`. */
  fields: Fields | Headers
  whole: Response | null
}

const own = Symbol('parts')

interface Own {
  readonly [own]?: Parts
}

/** Makes a response of a text. The names of `fields` are in small letters; it keeps the object. */
export function textResponse(text: string, status: number, fields: Fields): Response {
  return new Lazy({ text, status, fields, whole: null }) as unknown as Response
}

export function isText(response: Response): boolean {
  return own in response
}

/** Adds header fields that a response does not have yet. */
export function addFields(response: Response, added: Readonly<Fields>): void {
  const fields = (response as Own)[own]?.fields ?? response.headers
  if (fields instanceof Headers) {
    for (const name in added) if (!fields.has(name)) fields.set(name, added[name] ?? '')
  } else for (const name in added) fields[name] ??= added[name] ?? ''
}

/** What a server of Node writes; null for a response whose body is a stream. */
export function writable(
  response: Response,
): { readonly text: string; readonly status: number; readonly fields: Fields } | null {
  const parts = (response as Own)[own]
  if (parts === undefined || parts.whole !== null) return null
  const { text, status, fields } = parts
  return { text, status, fields: fields instanceof Headers ? Object.fromEntries(fields) : fields }
}

/** The platform's own response for one of these, to be handed to others. */
export function plainOf(response: Response): Response {
  const parts = (response as Own)[own]
  if (parts === undefined) return response
  parts.whole ??= new Response(parts.text, { status: parts.status, headers: parts.fields })
  return parts.whole
}

/** Looks like a response to those who use it; the platform's own code never sees one. */
class Lazy {
  readonly [own]: Parts

  constructor(parts: Parts) {
    this[own] = parts
  }
}

Object.setPrototypeOf(Lazy.prototype, Response.prototype)

function define(name: string, property: PropertyDescriptor): void {
  Object.defineProperty(Lazy.prototype, name, property)
}

// To the types of the platform these are properties, so no class can say that it overrides them.
define('status', { get: partOf((parts) => parts.status) })
define('ok', { get: partOf(({ status }) => status >= 200 && status < 300) })
define('headers', {
  get: partOf((parts) => {
    if (parts.whole !== null) return parts.whole.headers
    if (!(parts.fields instanceof Headers)) parts.fields = new Headers(parts.fields)
    return parts.fields
  }),
})
for (const name of ['body', 'bodyUsed', 'statusText', 'type'] as const)
  define(name, {
    get(this: Response) {
      return plainOf(this)[name]
    },
  })
for (const name of ['text', 'json', 'arrayBuffer', 'bytes', 'blob', 'formData', 'clone'] as const)
  define(name, {
    value(this: Response) {
      return plainOf(this)[name]()
    },
  })

function partOf<T>(look: (parts: Parts) => T): (this: Lazy) => T {
  return function (this: Lazy) {
    return look(this[own])
  }
}

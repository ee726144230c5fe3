/** What the keys and values of Consul and etcd have in common: the name of a singleton in a key, and JSON, in base 64, as a value. */

/** A key, with the name of a singleton for `{name}`. */
export function keyFor(pattern: string, name: string): string {
  // As a function: in a text, dollar signs of the name would mean something.
  return pattern.replaceAll('{name}', () => name)
}

/** The fields of a record, whoever wrote it; none when the value is no record. */
export function fieldsOf(value: string | null | undefined): Readonly<Record<string, unknown>> {
  try {
    const text = Buffer.from(value ?? '', 'base64').toString('utf8')
    const fields: unknown = JSON.parse(text)
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : {}
  } catch {
    // Someone else's text is no record.
    return {}
  }
}

/** What a Standard Schema says of itself as JSON Schema, for those who do not have its code. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import { errorText } from '../core/kept-error.ts'

/** A longer JSON Schema is not handed out: everybody who knows the task by name reads it again and again. */
const mostSchemaChars = 262_144

/** The JSON Schema of what a schema takes or gives, as text; why there is none, where its library cannot tell. */
export function jsonSchemaOf(
  schema: StandardSchemaV1 | null,
  of: 'input' | 'output',
): string | null | { readonly why: string } {
  if (schema === null) return null
  const converter = (schema['~standard'] as Partial<StandardJSONSchemaV1.Props>).jsonSchema
  if (converter === undefined)
    return { why: `its library ${schema['~standard'].vendor} does not give JSON Schemas.` }
  try {
    const text = JSON.stringify(converter[of]({ target: 'draft-2020-12' }))
    if (text.length <= mostSchemaChars) return text
    return {
      why: `its JSON Schema has ${text.length} characters, at most ${mostSchemaChars} are kept.`,
    }
  } catch (error) {
    // A schema with parts that JSON Schema cannot say, such as a date.
    return { why: errorText(error) }
  }
}

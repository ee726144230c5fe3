/** Checks bodies against the schemas of their routes. */
import { compileSchema, type JsonCheck } from '../app/json-schema.ts'
import type { Route } from './route.ts'

/** Rejects with `invalid-input`. A missing body counts as an object without properties. */
export type BodyCheck = (body: unknown) => Promise<void> | void

/** The check of a route's body; one that takes any JSON has none. */
export function bodyCheck({ body: schema, checksItself }: Route): BodyCheck {
  if (schema === undefined || checksItself === true || Object.keys(schema).length === 0)
    return () => undefined
  const missing = schema['type'] === 'object' ? {} : null
  let compiled: Promise<JsonCheck> | null = null
  return async (body) => {
    compiled ??= compileSchema(JSON.stringify(schema), 'The body', 'own')
    const check = await compiled
    check(body === undefined ? missing : body)
  }
}

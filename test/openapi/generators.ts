/**
 * Generators of clients. They need the TypeScript that has an interface for programs; version 7, with which the house compiles, has
 * none, so it is put in its place for them before they are loaded.
 */
import { registerHooks } from 'node:module'

const hooks = registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === 'typescript' ? 'typescript-5' : specifier, context),
})
const { default: openapiTs, astToString } = await import('openapi-typescript')
const { createClient } = await import('@hey-api/openapi-ts')
hooks.deregister()

/** The types of a document, for `openapi-fetch`. */
export async function typesOf(document: object): Promise<string> {
  // Else a property with a default must be sent.
  const options = { defaultNonNullable: false }
  return astToString(await openapiTs(structuredClone(document) as never, options))
}

/** Writes a client with a function for each operation. */
export async function writeSdk(document: string, folder: string): Promise<void> {
  await createClient({
    input: document,
    output: { path: folder },
    logs: { level: 'silent' },
    plugins: ['@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'],
  })
}

/** What jobs the reader looks for, as the query of the page and of the API has it. */

/** Filters that are texts, in the order of their fields. */
export const filterNames = [
  'task',
  'queue',
  'input',
  'output',
  'key',
  'tag',
  'group',
  'parent',
  'createdFrom',
  'createdTo',
] as const

export type Filter = { readonly [name in (typeof filterNames)[number]]?: string } & {
  readonly state?: readonly string[]
}

export function filterOf(query: URLSearchParams): Filter {
  const texts = filterNames.flatMap((name) => {
    const value = query.get(name)
    return value === null || value === '' ? [] : [[name, value] as const]
  })
  const state = query.getAll('state')
  return { ...Object.fromEntries(texts), ...(state.length === 0 ? {} : { state }) }
}

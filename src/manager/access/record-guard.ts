/**
 * Keeps the records of tokens and sessions from callers that reach the store itself: a worker's token must not
 * read, make or revoke tokens.
 */
import type { Advance, Intake } from '../../store/intake.ts'
import type { Records, RecordsQuery, RecordWrite, StoredRecord } from '../../store/records.ts'
import type { Store } from '../../store/store.ts'
import { Problem } from '../problem.ts'
import { sessionPrefix } from './sessions.ts'
import { tokenPrefix } from './tokens.ts'

const hidden = [tokenPrefix, sessionPrefix]

/** The same store, in which no record of a token or a session is seen or changed. */
export function withoutTokens(store: Store): Store {
  const guard: Pick<Intake, 'insert'> & Records = {
    async insert(jobs, options) {
      refuse((options?.advance ?? []).map(({ key }: Advance) => key))
      return store.insert(jobs, options)
    },
    async getRecords(keys) {
      refuse(keys)
      return store.getRecords(keys)
    },
    listRecords: (query) => listOthers(store, query),
    async putRecords(writes) {
      refuse(writes.map(({ key }: RecordWrite) => key))
      return store.putRecords(writes)
    },
  }
  return new Proxy(store, {
    get(target, name) {
      if (Object.hasOwn(guard, name)) return guard[name as keyof typeof guard]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function refuse(keys: readonly string[]): void {
  if (keys.some(isHidden))
    throw new Problem('forbidden', 'Tokens are seen and changed at /v1/tokens.')
}

function isHidden(key: string): boolean {
  return hidden.some((prefix) => key.startsWith(prefix))
}

/** A page of the other records: a page that tokens take up is no end, so what comes after is read too. */
async function listOthers(store: Store, query: RecordsQuery): Promise<readonly StoredRecord[]> {
  const { prefix, limit } = query
  if (!isHidden(prefix) && !hidden.some((one) => one.startsWith(prefix)))
    return store.listRecords(query)
  const found: StoredRecord[] = []
  let { after } = query
  for (;;) {
    const left = limit - found.length
    const page = await store.listRecords({ prefix, after, limit: left })
    found.push(...page.filter(({ key }) => !isHidden(key)))
    if (page.length < left || found.length >= limit) return found
    after = page.at(-1)?.key ?? null
  }
}

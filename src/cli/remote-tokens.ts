/** Tokens of a manager: a command whose store is behind one asks it, since stores do not show tokens. */
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { shownUrl } from '../core/shown.ts'
import type { NewToken, TokenInfo, TokenOptions, Tokens } from '../manager/index.ts'

/** How long the manager may take to answer. */
const withinMs = 60_000

type Sent<Token> = Omit<Token, 'createdAt'> & { readonly createdAt: string }

/** Tokens through the API at a URL, with the token that `ERRAND_TOKEN` holds. */
export function remoteTokens(url: string): Tokens {
  const at = `${url.replace(/\/$/, '')}/v1/tokens`
  return {
    async list() {
      const { tokens } = (await ask('GET', at)) as { readonly tokens: readonly Sent<TokenInfo>[] }
      return tokens.map(withDate)
    },
    create: async (options: TokenOptions) =>
      withDate((await ask('POST', at, options)) as Sent<NewToken>),
    async revoke(id) {
      const answer = await ask('DELETE', `${at}/${encodeURIComponent(id)}`)
      return answer === 'not-found' ? 'missing' : 'revoked'
    },
  }
}

function withDate<Token extends TokenInfo>(token: Sent<Token>): Token {
  return { ...token, createdAt: new Date(token.createdAt) } as unknown as Token
}

async function ask(method: string, url: string, body?: unknown): Promise<unknown> {
  const token = process.env['ERRAND_TOKEN']
  const response = await fetch(url, {
    method,
    redirect: 'error',
    signal: AbortSignal.timeout(withinMs),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((cause: unknown) => {
    throw new ErrandError(
      'store-unavailable',
      `The manager at ${shownUrl(url)} cannot be reached.`,
      {
        cause,
      },
    )
  })
  if (response.status === 204) return null
  const answer: unknown = await response.json().catch(() => null)
  if (response.ok) return answer
  const { code, detail } = (answer ?? {}) as { readonly code?: string; readonly detail?: string }
  if (code === 'not-found') return code
  const own = code === 'invalid-option' || code === 'overloaded' ? code : 'server-refused'
  throw new ErrandError(
    own satisfies ErrandErrorCode,
    `The manager answered with ${response.status}. ${detail ?? ''}`.trim(),
  )
}

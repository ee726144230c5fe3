/** The document of the API. */
import { conditional } from '../conditional.ts'
import type { Managed } from '../managed.ts'
import { LiveDocument, type LiveOptions } from '../openapi/live-document.ts'
import type { Route } from '../route.ts'

const path = '/openapi.json'

/** Routes of the document of other routes; it has them in it, too. */
export function documentRoutes(routes: readonly Route[], shownForMs: number): readonly Route[] {
  const live = new WeakMap<Managed, LiveDocument>()
  const document: Route = {
    method: 'GET',
    path,
    id: 'getOpenApi',
    summary: 'This document. It changes with the tasks that workers register.',
    tag: 'document',
    scopes: ['read', 'enqueue'],
    answers: {
      200: { description: 'An OpenAPI document.', schema: { type: 'object' } },
      304: { description: 'It is still the one that `If-None-Match` names.' },
    },
    async handle({ errand, caller, request }) {
      const mine = live.get(errand) ?? new LiveDocument(errand, options)
      live.set(errand, mine)
      const { pathname } = new URL(request.url)
      const server = pathname.endsWith(path) ? pathname.slice(0, -path.length) : ''
      const { text, etag } = await mine.get(caller, server === '' ? '/' : server)
      return conditional(request, etag, text, {
        'content-type': 'application/json',
        vary: 'authorization',
      })
    },
  }
  const options: LiveOptions = { routes: [...routes, document], shownForMs }
  return [document]
}

/** The session of the dashboard: who looks, signing in and out. */
import { scopes } from '../caller.ts'
import { json, type Route, type RouteCall } from '../route.ts'
import { flag, list, object, problemAnswer, text, textOrNull } from '../schemas.ts'

const sessionSchema = object({
  token: textOrNull,
  scopes: list({ enum: scopes }),
  queues: { oneOf: [list(text), { type: 'null' }] },
  signedIn: flag,
})

export const sessionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/session',
    id: 'getSession',
    summary: 'See who you are, and what you may do.',
    tag: 'session',
    scopes,
    answers: {
      200: {
        description: '`signedIn` tells a session of a browser from a token of its own.',
        schema: sessionSchema,
      },
    },
    handle: ({ caller, request }) => {
      const signedIn = !request.headers.has('authorization') && caller.token !== null
      return json({ ...shown(caller), signedIn })
    },
  },
  {
    method: 'POST',
    path: '/v1/session',
    id: 'signIn',
    summary: 'Open a session for a browser: a cookie that stands for a token, for twelve hours.',
    tag: 'session',
    scopes: [],
    body: object({ token: text }),
    answers: {
      201: { description: 'The session, in the cookie `errand_session`.', schema: sessionSchema },
      401: problemAnswer('The token is unknown or revoked.'),
    },
    async handle({ sessions, body, request }) {
      const { caller, cookie } = await sessions.open(request, (body as { token: string }).token)
      return json({ ...shown(caller), signedIn: true }, 201, { 'set-cookie': cookie })
    },
  },
  {
    method: 'DELETE',
    path: '/v1/session',
    id: 'signOut',
    summary: 'End the session of this browser.',
    tag: 'session',
    scopes,
    answers: { 204: { description: 'It has ended.' } },
    async handle({ sessions, request }) {
      const cookie = await sessions.end(request)
      return new Response(null, { status: 204, headers: { 'set-cookie': cookie } })
    },
  },
]

function shown({ token, scopes, queues }: RouteCall['caller']): object {
  return { token, scopes: [...scopes], queues: queues && [...queues] }
}

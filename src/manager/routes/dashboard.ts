/** The dashboard: static files beside the API, which is all that they talk to. */
import { readFile } from 'node:fs/promises'
import { hash } from 'node:crypto'
import { Problem } from '../problem.ts'
import type { Route } from '../route.ts'
import { conditional } from '../conditional.ts'

const security =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** Where `npm run build` and, in a checkout, `npm run build:dashboard` put the files. */
const folders = ['../../dashboard/', '../../../dashboard/dist/']

export const dashboardRoutes: readonly Route[] = [
  fileRoute('/', 'getDashboard', 'index.html', 'text/html', 'The dashboard.'),
  fileRoute('/dashboard/app.js', 'getDashboardScript', 'app.js', 'text/javascript', 'Its code.'),
  fileRoute('/dashboard/app.css', 'getDashboardStyle', 'app.css', 'text/css', 'Its looks.'),
  fileRoute('/dashboard/icon.svg', 'getDashboardIcon', 'icon.svg', 'image/svg+xml', 'Its icon.'),
]

function fileRoute(path: string, id: string, file: string, type: string, summary: string): Route {
  let reading: Promise<string> | null = null
  return {
    method: 'GET',
    path,
    id,
    summary,
    tag: 'dashboard',
    scopes: [],
    answers: {
      200: { description: 'The file.', type },
      304: { description: 'It is still the one that `If-None-Match` names.' },
      308: { description: 'The same with a slash at its end, which its own files need.' },
    },
    async handle({ request }) {
      const { pathname } = new URL(request.url)
      if (path === '/' && !pathname.endsWith('/')) return withSlash(pathname)
      const text = await (reading ??= readBuilt(file).catch((error: unknown) => {
        reading = null
        throw error
      }))
      const etag = `"${hash('sha256', text, 'base64url').slice(0, 27)}"`
      return conditional(request, etag, text, {
        'content-type': `${type}; charset=utf-8`,
        'content-security-policy': security,
        'referrer-policy': 'no-referrer',
      })
    },
  }
}

/** Sends a browser to the same path with a slash at its end, whatever stands before it. */
function withSlash(pathname: string): Response {
  const location = `${pathname.slice(pathname.lastIndexOf('/') + 1)}/`
  return new Response(null, { status: 308, headers: { location } })
}

async function readBuilt(file: string): Promise<string> {
  for (const folder of folders) {
    const text = await readFile(new URL(folder + file, import.meta.url), 'utf8').catch(() => null)
    if (text !== null) return text
  }
  throw new Problem(
    'not-found',
    'The files of the dashboard are not beside the code of the manager: in a checkout, npm run build:dashboard makes them; a bundle must leave errand out.',
  )
}

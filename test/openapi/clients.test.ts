/** The document pleases those who check documents, and clients made of it compile and work. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Validator } from '@seriousme/openapi-schema-validator'
import { tokens } from 'errand/manager'
import { typesOf, writeSdk } from './generators.ts'
import { startSample, type Sample } from './sample.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

/** What a program does with a client: adds a job, is refused with a reason, and looks at the job. */
interface Used {
  readonly inserted: string
  readonly refused: string
  readonly task: unknown
}

const byFetch = `
import createClient from 'openapi-fetch'
import type { paths } from './types.js'

export async function use(baseUrl: string, token: string) {
  const client = createClient<paths>({ baseUrl, headers: { authorization: \`Bearer \${token}\` } })
  const added = await client.POST('/v1/queues/images/tasks/images.resize/jobs', {
    body: { path: 'a.png', width: 200 },
  })
  if (added.data === undefined) throw new Error(added.error.detail)
  const odd = await client.POST('/v1/queues/a%20b%7Bc%7D/tasks/mail%2Fsend%20now%3F/jobs', { body: 'x' })
  if (odd.data === undefined) throw new Error(odd.error.detail)
  // @ts-expect-error a width is a number
  const wrong = { path: 'a.png', width: 'wide' } satisfies paths['/v1/queues/images/tasks/images.resize/jobs']['post']['requestBody']['content']['application/json']
  const refused = await client.POST('/v1/queues/bulk/tasks/images.resize/jobs', { body: wrong as never })
  const paused = await client.POST('/v1/control/pause', { body: { queue: 'bulk', note: 'why' } })
  if (paused.error !== undefined) throw new Error(paused.error.detail)
  // @ts-expect-error an order says whom it is for
  const vague = await client.POST('/v1/control/resume', { body: {} })
  if (vague.error?.code !== 'invalid-option') throw new Error('it was resumed')
  const job = await client.GET('/v1/jobs/{id}', { params: { path: { id: added.data.id } } })
  return { inserted: added.data.inserted, refused: refused.error?.code, task: (job.data as any)?.task }
}
`

const bySdk = `
import { client } from './sdk/client.gen.js'
import { enqueueImagesResize, enqueueImagesResizeOnBulk, getJob, resumeControl } from './sdk/index.js'

export async function use(baseUrl: string, token: string) {
  client.setConfig({ baseUrl, auth: () => token })
  const added = await enqueueImagesResize({ body: { path: 'a.png', width: 200 } })
  if (added.data === undefined) throw new Error(added.error?.detail)
  // @ts-expect-error a width is a number
  const refused = await enqueueImagesResizeOnBulk({ body: { path: 'a.png', width: 'wide' } })
  const resumed = await resumeControl({ body: { queue: 'bulk' } })
  if (resumed.error !== undefined) throw new Error(resumed.error.detail)
  // @ts-expect-error an order says whom it is for
  const vague = await resumeControl({ body: {} })
  if (vague.error?.code !== 'invalid-option') throw new Error('it was resumed')
  const job = await getJob({ path: { id: added.data.id } })
  return { inserted: added.data.inserted, refused: refused.error?.code, task: (job.data as any)?.task }
}
`

const tsconfig = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'dom', 'dom.iterable'],
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    types: [],
    outDir: 'out',
  },
  include: ['*.ts', 'sdk'],
}

describe('the document of the API', () => {
  let sample: Sample
  let document: object
  let place: string

  before(async () => {
    sample = await startSample()
    document = (await (await fetch(`${sample.url}/openapi.json`)).json()) as object
    const cache = join(root, 'node_modules/.cache')
    mkdirSync(cache, { recursive: true })
    place = mkdtempSync(join(cache, 'errand-clients-'))
    writeFileSync(join(place, 'openapi.json'), JSON.stringify(document))
  })

  after(async () => {
    rmSync(place, { recursive: true, force: true })
    await sample[Symbol.asyncDispose]()
  })

  it('is a valid OpenAPI 3.1 document', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(
      structuredClone(document) as Record<string, unknown>,
    )
    assert.equal(valid, true, JSON.stringify(errors))
    assert.equal(validator.version, '3.1')
  })

  it('passes the recommended rules of a linter', async () => {
    const redocly = join(root, 'node_modules/@redocly/cli/bin/cli.js')
    const config = join(import.meta.dirname, 'redocly.yaml')
    const args = ['lint', '--config', config, '--format', 'json', join(place, 'openapi.json')]
    const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
    const { stdout } = await run(process.execPath, [redocly, ...args], { env }).catch(
      (error: { readonly stdout: string; readonly stderr: string }) => {
        throw new Error(`${error.stdout}${error.stderr}`)
      },
    )
    const { totals, problems } = JSON.parse(stdout) as { totals: object; problems: object[] }
    assert.deepEqual(totals, { errors: 0, warnings: 0, ignored: 0 }, JSON.stringify(problems))
  })

  it('gives clients that compile, whose calls work and whose mistakes are told', async () => {
    writeFileSync(join(place, 'types.ts'), await typesOf(document))
    writeFileSync(join(place, 'by-fetch.ts'), byFetch)
    await writeSdk(join(place, 'openapi.json'), join(place, 'sdk'))
    writeFileSync(join(place, 'by-sdk.ts'), bySdk)
    writeFileSync(join(place, 'package.json'), '{"type":"module"}')
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(tsconfig))
    const tsc = join(root, 'node_modules/typescript/lib/tsc.js')
    await run(process.execPath, [tsc, '-p', place]).catch((error: { readonly stdout: string }) => {
      throw new Error(error.stdout)
    })
    const { token } = await tokens(sample.errand).create({ scopes: ['read', 'enqueue', 'operate'] })
    for (const name of ['by-fetch', 'by-sdk']) {
      const module = (await import(pathToFileURL(join(place, `out/${name}.js`)).href)) as {
        readonly use: (url: string, token: string) => Promise<Used>
      }
      const used = await module.use(sample.url, token)
      assert.deepEqual(used, {
        inserted: 'created',
        refused: 'invalid-input',
        task: 'images.resize',
      })
    }
  })
})

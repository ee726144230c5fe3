/** The demo's one task: compress a file, and take its checksum. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Discard, exponential, task } from 'errand'
import * as z from 'zod'

const compressed = promisify(gzip)

export const compress = task({
  name: 'files.compress',
  queue: 'files',
  input: z.object({ path: z.string() }),
  output: z.object({
    bytes: z.int(),
    compressed: z.int(),
    sha256: z.string().length(64),
    ms: z.number(),
  }),
  // A file that is done stays done: its key is held as long as its result is kept.
  unique: {
    key: ({ path }) => path,
    during: ['blocked', 'scheduled', 'ready', 'running', 'completed'],
  },
  retention: { completed: 'forever' },
  retry: { limit: 3, backoff: exponential({ first: '500ms', max: '10s' }) },
  timeout: '1m',
  async run({ path }) {
    const startedAt = performance.now()
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new Discard('the file is gone') : error
    })
    const sha256 = createHash('sha256').update(content).digest('hex')
    const { byteLength } = await compressed(content, { level: 9 })
    return {
      bytes: content.byteLength,
      compressed: byteLength,
      sha256,
      ms: performance.now() - startedAt,
    }
  },
})

/** Liveness in files, for probes that run a command: each file holds the seconds since the epoch of the last beat, and the host. */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import type { Beat, Beats, Liveness } from './liveness.ts'

export interface FileLivenessOptions {
  /** The file of successes, with the singleton's name for `{name}`; that of the other beats has `.alive` at its end. */
  readonly path: string
}

/** Keeps beats in files, each replaced in one step. Throws `invalid-option`. */
export function fileLiveness(options: FileLivenessOptions): Liveness {
  refuseUnknownKeys(options, ['path'], 'fileLiveness()')
  if (typeof options.path !== 'string' || options.path === '')
    throw new ErrandError('invalid-option', 'fileLiveness() needs a path, such as /run/{name}.live')
  const pathOf = (singleton: string, kind: Beat['kind']): string => {
    const path = resolve(options.path.replaceAll('{name}', encodeURIComponent(singleton)))
    return kind === 'success' ? path : `${path}.alive`
  }
  return {
    info: { kind: 'file', location: resolve(options.path) },
    async write({ singleton, kind, at, host }) {
      const path = pathOf(singleton, kind)
      await mkdir(dirname(path), { recursive: true })
      // In a folder that others write to, a name that they can guess could be a link of theirs to another file.
      const fresh = `${path}.${randomUUID()}.new`
      try {
        await writeFile(fresh, `${Math.floor(at / 1_000)} ${host}\n`, { flag: 'wx' })
        await rename(fresh, path)
      } catch (error) {
        await rm(fresh, { force: true })
        throw error
      }
    },
    async read(singleton) {
      const [success, alive] = await Promise.all([
        beatIn(pathOf(singleton, 'success')),
        beatIn(pathOf(singleton, 'alive')),
      ])
      return { success, alive }
    },
    close: async () => {},
  }
}

async function beatIn(path: string): Promise<Beats['success']> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text === null) return null
  const [, seconds, host] = /^(\d+) ?(.*)$/m.exec(text) ?? []
  if (seconds === undefined)
    throw new ErrandError(
      'invalid-config',
      `${path} holds no beat: ${JSON.stringify(text.slice(0, 80))}`,
    )
  return { at: Number(seconds) * 1_000, host: host ?? '' }
}

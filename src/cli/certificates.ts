/** The certificate of `errand serve` and its key: read from files, and read anew when these change. */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { ErrandError, isErrandError } from '../core/errors.ts'
import type { ManagerServer, ServerOptions } from '../manager/index.ts'
import { remark } from './terminal.ts'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** How often it is looked whether they have changed. */
const lookMs = 2_000

/** Throws `invalid-option`. */
export function readCertificate(files: CertificateFiles): NonNullable<ServerOptions['tls']> {
  return { cert: readPem(files.cert), key: readPem(files.key) }
}

/** Hands a server what its files hold whenever they change, until the answer is called. What cannot be used changes nothing. */
export function followCertificate(server: ManagerServer, files: CertificateFiles): () => void {
  const look = (): void => {
    try {
      server.useTls(readCertificate(files))
      remark(`New connections use what ${files.cert} holds now.`)
    } catch (error) {
      if (!isErrandError(error)) throw error
      remark(`${error.message} The certificate from before stays in use.`)
    }
  }
  const names = [files.cert, files.key]
  for (const name of names) watchFile(name, { interval: lookMs, persistent: false }, look)
  return () => {
    for (const name of names) unwatchFile(name, look)
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown'
    throw new ErrandError('invalid-option', `${file} cannot be read: ${why}`, { cause })
  }
}

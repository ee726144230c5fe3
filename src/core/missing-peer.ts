/** The error for a client that cannot be loaded. */
import { ErrandError } from './errors.ts'

const notFound = 'ERR_MODULE_NOT_FOUND'

/** Says what to do: a package that is not there is to be installed, one that is there and does not load is most often inside a bundle. */
export function missingPeer(what: string, peer: string, cause: unknown): ErrandError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const isMissing = cause instanceof Error && 'code' in cause && cause.code === notFound
  const advice =
    isMissing && why.includes(`'${peer}'`)
      ? `npm install ${peer}`
      : `it does not load (${why}). In a bundle, mark ${peer} as external: see docs/with-your-tools.md.`
  return new ErrandError('missing-peer', `${what} needs the package ${peer}: ${advice}`, { cause })
}

/** What doctor finds, for all who ask at the same time: its checks read a lot. */
import { examine } from '../client/checks/index.ts'
import type { Finding } from '../client/checks/finding.ts'
import type { Managed } from './managed.ts'
import { Problem } from './problem.ts'

/** Those that somebody waits for. */
const examinations = new WeakMap<Managed, Examination>()

interface Examination {
  readonly findings: Promise<readonly Finding[]>
  readonly unwanted: AbortController
  readers: number
}

/**
 * Rejects with `closed` as soon as the signal aborts. When nobody waits any more, the examination
 * ends before its next check.
 */
export async function examined(errand: Managed, signal: AbortSignal): Promise<readonly Finding[]> {
  const examination = examinations.get(errand) ?? begin(errand)
  examination.readers++
  const gone = Promise.withResolvers<never>()
  // Read by those who still wait; a caller that has left reads nothing.
  const leave = (): void => gone.reject(new Problem('closed', 'The manager stops.'))
  signal.addEventListener('abort', leave, { once: true })
  try {
    if (signal.aborted) leave()
    return await Promise.race([gone.promise, examination.findings])
  } finally {
    signal.removeEventListener('abort', leave)
    examination.readers--
    if (examination.readers === 0) {
      examinations.delete(errand)
      examination.unwanted.abort()
    }
  }
}

function begin(errand: Managed): Examination {
  const unwanted = new AbortController()
  const findings = examine(errand, unwanted.signal)
  // Its readers may all have left.
  findings.catch(() => undefined)
  const examination = { findings, unwanted, readers: 0 }
  examinations.set(errand, examination)
  return examination
}

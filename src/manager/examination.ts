/** What doctor finds, for all who ask at the same time: its checks read a lot. */
import { examine } from '../client/checks/index.ts'
import type { Finding } from '../client/checks/finding.ts'
import type { Managed } from './managed.ts'
import { Problem } from './problem.ts'

/** Those under way. */
const examinations = new WeakMap<Managed, Examination>()

class Examination {
  readonly findings: Promise<readonly Finding[]>
  readonly #unwanted = new AbortController()
  #readers = 0

  constructor(errand: Managed) {
    this.findings = examine(errand, this.#unwanted.signal)
    this.findings.catch(() => undefined)
  }

  join(): void {
    this.#readers++
  }

  /** Returns whether nobody waits for it any more: then it ends before its next check. */
  leave(): boolean {
    this.#readers--
    if (this.#readers > 0) return false
    this.#unwanted.abort(new Problem('closed', 'Nobody waits for what doctor finds any more.'))
    return true
  }
}

/** Rejects with `closed` at once when the signal aborts. */
export async function examined(errand: Managed, signal: AbortSignal): Promise<readonly Finding[]> {
  if (signal.aborted) throw new Problem('closed', 'Nobody waits for what doctor finds.')
  const examination = examinations.get(errand) ?? new Examination(errand)
  examinations.set(errand, examination)
  examination.join()
  const gone = Promise.withResolvers<never>()
  const leave = (): void => gone.reject(new Problem('closed', 'The manager stops.'))
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([examination.findings, gone.promise])
  } finally {
    signal.removeEventListener('abort', leave)
    if (examination.leave()) examinations.delete(errand)
  }
}

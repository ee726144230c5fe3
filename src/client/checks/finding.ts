/** What a check of `errand doctor` finds. */

export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly text: string
  /** What to do about it. */
  readonly advice?: string
}

/** Looks at one thing and says what it found. */
export type Check<Subject> = (subject: Subject) => Promise<readonly Finding[]> | readonly Finding[]

export function ok(check: string, text: string): Finding {
  return { check, status: 'ok', text }
}

export function warn(check: string, text: string, advice: string): Finding {
  return { check, status: 'warn', text, advice }
}

export function fail(check: string, text: string, advice: string): Finding {
  return { check, status: 'fail', text, advice }
}

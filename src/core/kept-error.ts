/** From whatever was thrown to the record that stays with the job. */
import type { KeptError } from './job.ts'

const longestMessage = 4_000
const longestStack = 8_000

/** Makes a bounded record of a thrown value. Never throws, whatever the value does. */
export function keepError(thrown: unknown, attempt: number, at: number): KeptError {
  if (!(thrown instanceof Error)) {
    return {
      type: typeof thrown,
      message: cut(describe(thrown), longestMessage),
      stack: null,
      code: null,
      attempt,
      at,
    }
  }
  return {
    type: read(() => thrown.name) ?? 'Error',
    message: cut(read(() => thrown.message) ?? '', longestMessage),
    stack: withCauses(thrown),
    code: read(() => (thrown as { code?: unknown }).code),
    attempt,
    at,
  }
}

function withCauses(error: Error): string | null {
  const parts: string[] = []
  const seen = new Set<unknown>()
  for (let one: unknown = error; one instanceof Error && !seen.has(one) && seen.size < 5;) {
    seen.add(one)
    const current: Error = one
    const stack = read(() => current.stack)
    if (stack !== null) parts.push(stack)
    one = readAny(() => current.cause)
  }
  return parts.length === 0 ? null : cut(parts.join('\nCaused by: '), longestStack)
}

function describe(value: unknown): string {
  return (
    read(() => (typeof value === 'string' ? value : JSON.stringify(value))) ??
    read(() => String(value)) ??
    'a value that cannot be shown'
  )
}

function read(get: () => unknown): string | null {
  const value = readAny(get)
  return typeof value === 'string' ? value : null
}

function readAny(get: () => unknown): unknown {
  try {
    return get()
  } catch {
    return null
  }
}

function cut(text: string, longest: number): string {
  return text.length <= longest
    ? text
    : `${text.slice(0, longest)}… (${text.length - longest} more characters)`
}

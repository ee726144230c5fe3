/** The labels of a job, its tags and headers, in one column: most jobs have none, and stores look for none of them by index. */
import type { JobFacts } from '../store/job.ts'

type Labels = Pick<JobFacts, 'tags' | 'headers'>

const none: Labels = { tags: [], headers: {} }

/** Returns the labels as one text; null when there are none. */
export function packLabels({ tags, headers }: Labels): string | null {
  if (tags.length === 0 && isEmpty(headers)) return null
  return JSON.stringify([tags, headers])
}

/** Reads labels that `packLabels` made; of anything else, none. */
export function readLabels(text: string | null): Labels {
  if (text === null) return none
  try {
    const parts: unknown = JSON.parse(text)
    if (isPair(parts)) return { tags: parts[0], headers: parts[1] }
  } catch {
    // As for JSON of another kind.
  }
  return none
}

function isPair(parts: unknown): parts is [string[], Record<string, string>] {
  if (!Array.isArray(parts)) return false
  const [tags, headers] = parts as unknown[]
  return Array.isArray(tags) && typeof headers === 'object' && headers !== null
}

function isEmpty(headers: Labels['headers']): boolean {
  for (const _ in headers) return false
  return true
}

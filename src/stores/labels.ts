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
    const [tags, headers] = JSON.parse(text) as [string[], Record<string, string>]
    return { tags, headers }
  } catch {
    return none
  }
}

function isEmpty(headers: Labels['headers']): boolean {
  for (const _ in headers) return false
  return true
}

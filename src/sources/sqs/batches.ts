/** Calls of SQS that take up to ten entries, and say of each how it went. */
import type { BatchResultErrorEntry } from '@aws-sdk/client-sqs'

/** The most entries of one call. */
export const mostEntries = 10
/** Calls under way at a time. */
const mostCalls = 8

/** An entry that SQS did not take. */
export interface Refused<T> {
  readonly item: T
  /** Whether a repeat cannot help. */
  readonly isFinal: boolean
  readonly why: string
}

/** Sends batches, some at a time, and returns the items that were refused. Rejects when a call fails as a whole. */
export async function sendBatches<T>(
  batches: readonly (readonly T[])[],
  send: (batch: readonly T[]) => Promise<readonly BatchResultErrorEntry[] | undefined>,
): Promise<readonly Refused<T>[]> {
  const left = [...batches]
  const refused: Refused<T>[] = []
  const work = async (): Promise<void> => {
    for (let batch = left.shift(); batch !== undefined; batch = left.shift())
      for (const entry of (await send(batch)) ?? []) {
        const item = batch[Number(entry.Id)]
        const why = `${entry.Code ?? 'refused'}${entry.Message === undefined ? '' : `: ${entry.Message}`}`
        if (item !== undefined) refused.push({ item, isFinal: entry.SenderFault === true, why })
      }
  }
  await Promise.all(Array.from({ length: Math.min(mostCalls, batches.length) }, work))
  return refused
}

/** Cuts a list into batches of ten. */
export function inTens<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / mostEntries) }, (_, n) =>
    items.slice(n * mostEntries, (n + 1) * mostEntries),
  )
}

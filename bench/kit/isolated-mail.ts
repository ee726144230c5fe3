/** The handler that does nothing, as threads and processes load it: Errand's and BullMQ's. */
import type { Mail } from './job.ts'

export function mail({ id }: Mail): { readonly ok: number } {
  return { ok: id }
}

/** BullMQ calls the default export. */
// oxlint-disable-next-line import/no-default-export -- BullMQ loads no other
export default ({ data }: { readonly data: Mail }): Promise<{ readonly ok: number }> =>
  Promise.resolve(mail(data))

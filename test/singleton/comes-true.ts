/** Waiting for something that a loop, a process or a server does in its own time. */
import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 5
/** Far longer than anything takes, also on a busy machine. */
const mostMs = 90_000

/** Resolves once it holds; rejects when it never does, telling what there is instead. */
export async function comesTrue(
  holds: () => boolean,
  state: () => unknown = () => '',
): Promise<void> {
  const late = performance.now() + mostMs
  while (!holds()) {
    if (performance.now() > late)
      throw new Error(`${holds.toString()} does not come true: ${JSON.stringify(state())}`)
    await sleep(pollMs)
  }
}

/** Stands for an image library. */
import { setTimeout as sleep } from 'node:timers/promises'

export class NotFound extends Error {}

/** Answers the bytes of the smaller image. */
export async function shrink(
  path: string,
  width: number,
  options: { signal: AbortSignal },
): Promise<number> {
  if (path === 'missing.png') throw new NotFound(`there is no ${path}`)
  await sleep(5, undefined, options)
  return width * width * 3
}

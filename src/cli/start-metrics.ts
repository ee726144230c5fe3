/** The metrics and the health of a command that goes on until it is stopped. */
import type { Errand } from '../errand.ts'
import type { listenAt } from './options.ts'

/** Serves them if a port was named; returns what ends that. */
export async function startMetrics(
  errand: Errand,
  at: ReturnType<typeof listenAt> | undefined,
): Promise<() => void> {
  if (at === undefined) return () => undefined
  const { serveMetrics } = await import('../observe/prometheus/server.ts')
  return serveMetrics(errand, at)
}

/** Keeps the file that says that workers are well, if one was named; returns what ends that. */
export async function startHealthFile(
  errand: Errand,
  path: string | undefined,
): Promise<() => Promise<void>> {
  if (path === undefined) return async () => undefined
  const { keepHealthFile } = await import('../observe/health-file.ts')
  return keepHealthFile(errand, path)
}

/** Milliseconds on the machine's monotonic clock, which all its processes share. */
export function ticks(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1_000_000
}

export function slept(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}

/** Resolves when something holds; throws when it does not for too long. */
export async function until(holds: () => boolean, what: string, withinMs = 120_000): Promise<void> {
  const end = ticks() + withinMs
  while (!holds()) {
    if (ticks() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`)
    await slept(2)
  }
}

/** Microseconds of CPU that this process has used, in all its threads. */
export function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

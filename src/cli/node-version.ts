/** Which Node Errand runs on. Imported before anything else, so it must load on older ones. */

/** From here on Node strips types by itself. */
const least = { major: 22, minor: 18 } as const
export const leastNode: string = `${least.major}.${least.minor}`

export function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < least.major || (major === least.major && minor < least.minor)
}

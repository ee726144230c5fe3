/** Loads peers, which are installed beside the bench and not with Errand. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const home = new URL('../../packages/package.json', import.meta.url)
const require = createRequire(home)

/** The peer's module. */
export async function loadPeer(name: string): Promise<unknown> {
  return import(pathToFileURL(require.resolve(name)).href)
}

/** The installed version of a peer. Throws with the command that installs it. */
export function versionOf(name: string): string {
  const description = new URL(`node_modules/${name}/package.json`, home)
  try {
    const { version } = JSON.parse(readFileSync(description, 'utf8')) as { version: string }
    return `${name} ${version}`
  } catch (cause) {
    throw new Error(`${name} is not installed: npm ci --prefix bench/packages`, { cause })
  }
}

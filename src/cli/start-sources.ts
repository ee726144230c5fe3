/** The sources of the configuration beside a worker or a manager. */
import type { Errand } from '../errand.ts'

/** Starts them, unless the command was told not to. */
export function startSources(errand: Errand, options: { readonly sources: boolean }): void {
  if (options.sources) errand.sources.start()
}

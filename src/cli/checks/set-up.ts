/** Checks of this machine's set-up: Node, tasks, and how leases are renewed. */
import type { Errand } from '../../errand.ts'
import { tryRenewer } from '../../worker/renewer.ts'
import { fail, ok, warn, type Check, type Finding } from '../../client/checks/finding.ts'
import { counted, oneLine } from '../../core/words.ts'
import { isTooOld, leastNode } from '../node-version.ts'

/** Whether this Node can run Errand. */
export function checkNode(): Finding {
  const version = process.versions.node
  return isTooOld(version)
    ? fail('node', `version ${version} is too old`, `Install Node ${leastNode} or newer.`)
    : ok('node', `version ${version}`)
}

/** Whether the configured tasks load. */
export const checkTasks: Check<Errand> = async ({ tasks }) => {
  try {
    const names = await tasks.load()
    return names.length === 0
      ? [
          warn(
            'tasks',
            'none are configured',
            'Only workers whose configuration lists tasks run jobs.',
          ),
        ]
      : [ok('tasks', `${names.length} loaded: ${shortened(names)}`)]
  } catch (error) {
    return [fail('tasks', messageOf(error), 'No worker starts before they load.')]
  }
}

/** What the store promises, and how leases are renewed: a thread is tried. */
export const checkPromises: Check<Errand> = async ({ store }) => {
  const { mode, why } = await tryRenewer(store)
  const advice = 'A handler that blocks it longer than the lease loses its job.'
  return [
    ok('durability', store.info.durability),
    mode === 'thread'
      ? ok('renewer', 'leases are renewed by a thread')
      : warn(
          'renewer',
          'leases are renewed on the event loop',
          `${advice} ${why ?? 'Make the store from a file name or URL.'}`,
        ),
  ]
}

function shortened(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${counted(names.length - 5, 'other')}` : shown
}

function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error))
}

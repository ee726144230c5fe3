/** Which scopes may make which call of a store. */
import { calls, type CallName } from '../../store/calls.ts'
import type { Caller, Scope } from '../caller.ts'

/** What differs from the rule of its role. */
const own: Readonly<Partial<Record<CallName, readonly Scope[]>>> = {
  // A program that enqueues by name reads what is registered.
  tasks: ['work', 'read', 'operate', 'enqueue'],
  queues: ['work', 'read', 'operate'],
  workers: ['work', 'read', 'operate'],
  registerTasks: ['work'],
  getRecords: ['work', 'read', 'operate'],
  listRecords: ['work', 'read', 'operate'],
  lockOwner: ['work', 'read', 'operate'],
}

export function scopesOf(name: CallName): readonly Scope[] {
  const found = own[name]
  if (found !== undefined) return found
  switch (calls[name].role) {
    case 'producer':
      return ['work', 'enqueue']
    case 'worker':
    case 'locks':
      return ['work']
    case 'reader':
      return ['work', 'read', 'operate']
    case 'operator':
    case 'registry':
    case 'records':
      return ['work', 'operate']
  }
}

/** Whether a caller may only bring in jobs: then each is checked as those of any stranger. */
export function onlyEnqueues({ scopes }: Caller): boolean {
  return !scopes.has('work')
}

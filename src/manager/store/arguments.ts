/** The arguments of a call, as a body that fits the shape of the call has them. */
import type { CallName } from '../../store/calls.ts'
import { shapes } from './shapes.ts'

/** Without a null in the place of the last: JSON knows no undefined. */
export function argumentsOf(name: CallName, body: unknown): readonly unknown[] {
  const given = body as readonly unknown[]
  const isSpare = given.at(-1) === null && given.length > Number(shapes[name]['minItems'] ?? 0)
  return isSpare ? given.slice(0, -1) : given
}

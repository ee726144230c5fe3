/** A client that sends again what a store answers as held, as the parts of Errand do: on a busy server, calls at the same rows may seem held. */
import { setTimeout } from 'node:timers/promises'
import type { InsertAnswer, InsertOptions } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { SettleAnswer, Settlement } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'

const pauseMs = 20
const most = 500

/** The same store, whose answers are held only after ten seconds of trying. */
export function patient(store: Store): Store {
  const insert = (jobs: readonly NewJob[], options?: InsertOptions): Promise<InsertAnswer[]> =>
    untilNotHeld(
      jobs,
      // What an advance carries goes again as a whole.
      (some) => store.insert(options?.advance === undefined ? some : jobs, options),
      ({ status }) => status === 'held',
    )
  const settle = (settlements: readonly Settlement[], tx?: unknown): Promise<SettleAnswer[]> =>
    untilNotHeld(
      settlements,
      (some) => store.settle(some, tx),
      (answer) => answer === 'held',
    )
  return new Proxy(store, {
    get(target, name) {
      if (name === 'insert') return insert
      if (name === 'settle') return settle
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function untilNotHeld<Given, Answer>(
  given: readonly Given[],
  call: (some: readonly Given[]) => Promise<readonly Answer[]>,
  isHeld: (answer: Answer) => boolean,
): Promise<Answer[]> {
  const answers = [...(await call(given))]
  for (let times = 1; times < most; times += 1) {
    const places = answers.flatMap((answer, place) => (isHeld(answer) ? [place] : []))
    if (places.length === 0) break
    await setTimeout(pauseMs)
    const later = await call(places.flatMap((place) => given.slice(place, place + 1)))
    if (later.length === answers.length) answers.splice(0, answers.length, ...later)
    else for (const [index, answer] of later.entries()) answers[places[index] ?? 0] = answer
  }
  return answers
}

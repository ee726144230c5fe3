/** The configuration of processes that compute: each job keeps a processor busy for some milliseconds. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const rounds = 200_000

export const compute = task({
  name: 'compute',
  run: ({ id }: { readonly id: number }) => {
    let value = id
    for (let i = 0; i < rounds; i++) value = (value * 1_103_515_245 + 12_345) % 2_147_483_648
    return { ok: id, value }
  },
})

/** The store is named where processes are started. */
// oxlint-disable-next-line import/no-default-export -- what a configuration is
export default createErrand({ store: memory(), tasks: [compute] })

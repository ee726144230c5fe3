/** Jobs that follow from others: they are stored in the same step that settles their parent. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const index = task({
  name: 'index',
  run({ words }: { words: string[] }, job) {
    console.log(`index ${words.length} words, parent known: ${job.parent !== null}`)
  },
})

const publish = task({
  name: 'publish',
  run({ words }: { words: string[] }) {
    console.log(`publish ${words.join('-')}`)
  },
})

// The output of `split` is the input of `index`: it must fit, or it does not compile.
const split = task({
  name: 'split',
  onSuccess: index,
  run: ({ text }: { text: string }) => ({ words: text.split(' ') }),
})

// A handler may enqueue as well. These jobs are stored if the attempt is accepted, and only then.
const splitAll = task({
  name: 'split-all',
  async run({ texts }: { texts: string[] }, job) {
    for (const text of texts) await job.enqueue(split, { text })
    return texts.length
  },
})

const errand = createErrand({
  store: memory(),
  tasks: [index, publish, split, splitAll],
  slots: 1,
})
const worker = errand.worker()
await worker.start()

// More may follow from one call: `publish` comes after `index`.
await errand.enqueue(split, { text: 'to be or not' }, { onSuccess: publish })
await allDone()

await errand.enqueue(splitAll, { texts: ['one two', 'three'] })
await allDone()

await errand.close()

/** Waits until nothing is left to do. */
async function allDone(): Promise<void> {
  const isOver = async (): Promise<boolean> =>
    (await errand.jobs.counts()).every(({ state }) => state === 'completed')
  while (!(await isOver())) await new Promise((resolve) => setTimeout(resolve, 10))
}

// Output:
// index 4 words, parent known: true
// publish to-be-or-not
// index 2 words, parent known: true
// index 1 words, parent known: true

/**
 * `npm run model -- --store sqlite --runs 10000 --seed 1`: random commands of three clients, with the reference model beside the store.
 *
 * Exits with 0 when store and model agree and each row of the table of states was taken often enough, 1 when not, 2 for wrong use.
 */
import { parseArgs } from 'node:util'
import { groundOf, storeNames } from './places.ts'
import { search, type Findings } from './search.ts'

const usage = `npm run model -- --store <${storeNames.join('|')}> [options]
  --runs <n>      runs, each on an empty store (1000)
  --commands <n>  commands of a run (50)
  --seed <n>      what is drawn follows from it (a new one)
  --path <path>   repeats a failure that was found with the same seed
  --least <n>     how often each row of the table of states must be taken (a hundredth of the runs)`

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      store: { type: 'string', default: 'memory' },
      runs: { type: 'string', default: '1000' },
      commands: { type: 'string', default: '50' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      path: { type: 'string' },
      least: { type: 'string' },
    },
  })
  const name = storeNames.find((one) => one === values.store)
  const [runs, commands, seed] = [values.runs, values.commands, values.seed].map(Number)
  if (name === undefined || !runs || !commands || seed === undefined || Number.isNaN(seed)) {
    console.error(usage)
    return 2
  }
  const ground = await groundOf(name)
  if (ground === null) return 2
  const start = performance.now()
  try {
    const found = await search(ground, {
      runs,
      commands,
      seed,
      path: values.path ?? null,
      onProgress: (done) => {
        if (done % 1_000 === 0) console.log(`${done} runs`)
      },
    })
    const seconds = (performance.now() - start) / 1_000
    const least = Number(values.least ?? Math.floor(runs / 100))
    return report(found, least, `${name}, seed ${seed}, ${seconds.toFixed(1)} s`)
  } finally {
    await ground.close()
  }
}

function report(found: Findings, least: number, what: string): number {
  const { runs, commands, edges, difference } = found
  for (const [edge, count] of edges) console.log(`${String(count).padStart(9)}  ${edge}`)
  console.log(
    `${what}: ${runs} runs, ${commands} commands, ${difference === null ? 0 : 1} differences`,
  )
  if (difference !== null) {
    console.log(difference)
    return 1
  }
  const rare = [...edges].filter(([, count]) => count < least)
  for (const [edge, count] of rare) console.log(`TOO RARE: ${edge}, ${count} times, not ${least}`)
  return rare.length === 0 ? 0 : 1
}

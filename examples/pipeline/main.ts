// A pipeline whose worker is killed half-way: another goes on where it stood, and each step takes effect once.
// Run: node examples/pipeline/main.ts
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = await mkdtemp(join(tmpdir(), 'errand-pipeline-'))
process.argv[2] = folder
const { errand, etl } = await import('./flow.ts')

const startWorker = (killed: 'yes' | 'no') =>
  spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'worker.ts'), folder], {
    env: { ...process.env, KILLED: killed },
    stdio: 'ignore',
  })

const run = await errand.start(etl, { source: 'sales.txt' })
const first = startWorker('yes')
const [, signal] = await once(first, 'exit')
console.log('the first worker ended by', signal)

const second = startWorker('no')
console.log(await run.result({ timeout: '50s' }))
second.kill('SIGTERM')
await once(second, 'exit')

const lines = (await readFile(join(folder, 'ledger.txt'), 'utf8')).trimEnd().split('\n')
const steps = lines.map((line) => line.split(' ')[0] ?? '')
console.log(
  'in order:',
  steps.filter((step) => ['extract', 'transform', 'load'].includes(step)),
)
console.log('compute came last:', steps.at(-1) === 'compute')
console.log('steps:', new Set(steps).size, 'effects:', steps.length)
await errand.close()
await rm(folder, { recursive: true })

// Output:
// the first worker ended by SIGKILL
// { table: 'sums of sales.txt', total: 12 }
// in order: [ 'extract', 'transform', 'load' ]
// compute came last: true
// steps: 7 effects: 7

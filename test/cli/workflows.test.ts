import assert from 'node:assert/strict'
import { before, suite, test, after } from 'node:test'
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand, task } from '../../src/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { errand, root, start, type Ended, type Running } from './command-line.ts'

const config = `
import { createErrand, task, workflow } from 'errand'
import { sqlite } from 'errand/sqlite'
let broken = true
const numbers = task({ name: 'numbers', run: (upTo: number) => ({ upTo }) })
const half = task({
  name: 'half',
  retry: 'never',
  run({ n }: { n: number }) {
    if (n % 2 === 0) return n / 2
    if (!broken) return -1
    broken = false
    throw new Error('odd')
  },
})
const halves = workflow({
  name: 'halves',
  build(w, upTo: number) {
    const made = w.add('made', numbers, upTo)
    return w.output({ half: w.add('half', half, { n: made.output.upTo }).output })
  },
})
export default createErrand({ store: sqlite('errand.db'), tasks: [numbers, half], workflows: [halves] })
`

suite('errand workflows', () => {
  let folder: string
  let worker: Running
  const run = (...args: readonly string[]): Promise<Ended> => errand(args, { cwd: folder })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-workflows-'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(root, join(folder, 'node_modules/errand'))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    await writeFile(join(folder, 'errand.config.ts'), config)
    worker = start(['worker'], { cwd: folder })
  })
  after(async () => {
    worker.kill('SIGTERM')
    await worker.ended
    await rm(folder, { recursive: true })
  })

  test('starts, lists, shows, draws, retries and cancels runs', async () => {
    const done = await run('workflows', 'start', 'halves', '8', '--wait')
    assert.deepEqual([done.stderr, JSON.parse(done.stdout)], ['', { half: 4 }])

    const failed = await run('workflows', 'start', 'halves', '7', '--json')
    const { id } = JSON.parse(failed.stdout) as { readonly id: string }
    const result = await run('jobs', 'result', id)
    assert.equal(result.code, 1)
    const shown = await run('workflows', 'show', id)
    assert.match(shown.stdout, /workflow\s+halves/)
    assert.match(shown.stdout, /half\s+half\s+failed\s+made/)
    const { stdout: graph } = await run('workflows', 'show', id, '--mermaid')
    assert.match(graph, /^flowchart LR\n {2}n0\["made<br\/>completed"\]:::completed\n/)
    assert.match(graph, /n0 --> n1\n/)
    const { stdout: tree } = await run('jobs', 'show', id, '--tree')
    assert.match(
      tree,
      /^errand\.workflow {2}failed .*\n├─ made {2}completed .*\n└─ half {2}failed \(error\)/,
    )

    const again = await run('workflows', 'retry', id)
    assert.equal(again.stdout, '2 jobs to run again\n')
    const second = await run('jobs', 'result', id)
    assert.deepEqual(JSON.parse(second.stdout), { half: -1 })
    const cancelled = await run('workflows', 'cancel', id)
    assert.deepEqual([cancelled.code, cancelled.stdout], [1, '0 jobs cancelled or asked to end\n'])
    const list = await run('workflows', 'list', '--json')
    const { runs } = JSON.parse(list.stdout) as { readonly runs: readonly { state: string }[] }
    assert.deepEqual(
      runs.map(({ state }) => state),
      ['completed', 'completed'],
    )
  })

  test('refuses what it does not know in one line', async () => {
    const wrong = await run('workflows', 'start', 'halfs')
    assert.deepEqual(
      [wrong.code, wrong.stderr],
      [2, 'error: No workflow is called halfs. Did you mean halves?\n'],
    )
    const none = await run('workflows', 'show', '0198c5d4-0000-7000-8000-000000000000')
    assert.equal(none.code, 1)
  })

  test('shows a batch by its counts', async () => {
    const numbers = task({ name: 'numbers', run: (upTo: number) => ({ upTo }) })
    const app = createErrand({ store: sqlite(join(folder, 'errand.db')), tasks: [numbers] })
    const batch = await app.batch(
      Array.from({ length: 130 }, (_, n) => [numbers, n] as const),
      { name: 'many' },
    )
    await batch.result()
    await app.close()
    const shown = await run('workflows', 'show', batch.id)
    assert.match(shown.stdout, /batch\s+many\s[^]*jobs\s+130 completed\s/)
    assert.match(shown.stdout, new RegExp(`Its jobs: errand jobs list --group ${batch.id}\n$`))
    const { stdout } = await run('workflows', 'list')
    assert.match(stdout, /many\s+completed/)
  })
})

/** The sources of a configuration, run by the commands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../sources/eventually.ts'
import { configText, errand, makeProject, start } from './command-line.ts'

/** A source with one message, in the same file. */
const withSource = `
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'

const body = Buffer.from('{"name":"add","kwargs":{"a":1,"b":2}}')
let isSent = false
const shelf = {
  name: 'shelf',
  async connect() {
    const lost = new AbortController().signal
    return {
      lost,
      async pull(_room, signal) {
        if (isSent) await new Promise((resolve) => signal.addEventListener('abort', resolve))
        if (isSent) return []
        isSent = true
        return [{ queue: 'shelf', id: 'one', body, size: body.length, headers: {} }]
      },
      async acknowledge() {},
      async giveBack() {},
      async setAside() { return 'nowhere' },
      async close() {},
    }
  },
}
const add = task({ name: 'add', run: ({ a, b }) => a + b })
export default createErrand({ store: sqlite('errand.db'), tasks: [add], sources: [shelf] })
`

test('errand sources makes jobs, runs none, and stops with 0', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.js': withSource })
  const sources = start(['sources'], { cwd })
  context.after(() => sources.kill('SIGKILL'))
  await sources.shown('source shelf connected')
  // Nobody else runs: it tells of itself.
  await eventually(async () => {
    const workers = await errand(['workers'], { cwd })
    assert.match(workers.stdout, / SOURCES .*\n.* running .* 0 .* shelf/)
  })
  const { stdout } = await errand(['jobs', 'list', '--json'], { cwd })
  const [job] = (JSON.parse(stdout) as { jobs: { task: string; state: string }[] }).jobs
  assert.deepEqual([job?.task, job?.state], ['add', 'ready'])
  sources.kill('SIGTERM')
  assert.equal((await sources.ended).code, 0)
})

test('a worker runs them, unless it is told not to', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.js': withSource })
  const without = start(['worker', '--no-sources'], { cwd })
  context.after(() => without.kill('SIGKILL'))
  await without.shown(' started: ')
  const worker = start(['worker'], { cwd })
  context.after(() => worker.kill('SIGKILL'))
  await worker.shown('source shelf connected')
  for (const one of [without, worker]) one.kill('SIGTERM')
  assert.doesNotMatch((await without.ended).stdout, /shelf/)
  assert.equal((await worker.ended).code, 0)
})

test('errand sources without any says how to have some', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const { code, stderr } = await errand(['sources'], { cwd })
  assert.equal(code, 2)
  assert.match(stderr, /^error: The configuration has no sources\. Add some: .*\n$/)
})

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const main = join(import.meta.dirname, 'main.ts')

/** Far fewer than in a minute's run, but enough to see that the run did what it is for. */
const few = ['--least-kills', '3', '--least-rescues', '5', '--least-refusals', '1']

test('a short run of kills and stops loses nothing and does nothing twice', async () => {
  const { code, output } = await crash('--seed', '1', '--seconds', '10', ...few)
  assert.equal(code, 0, output)
  assert.match(output, /seed 1: clean/)
})

test('a store that believes workers whose leases are gone is found out', async () => {
  // A short run on a busy machine may see no worker come back too late: then the next seed is tried.
  const seen: string[] = []
  for (const seed of ['1', '2', '3', '4', '5']) {
    const { code, output } = await crash('--seed', seed, '--seconds', '8', '--sabotage', 'fencing')
    assert.equal(code, 1, output)
    if (/VIOLATION \(\d+\): a job ends once, as the store says/.test(output)) return
    seen.push(output)
  }
  assert.fail(`no run found a job that ended twice:\n${seen.join('\n')}`)
})

test('wrong use is told apart from a broken rule', async () => {
  for (const args of [
    [],
    ['--seed', '1', '--sabotage', 'luck'],
    ['--seed', '1', '--minutes', '1'],
  ]) {
    const { code, output } = await crash(...args)
    assert.equal(code, 2, output)
    assert.match(output, /npm run crash -- --seed/)
  }
})

async function crash(...args: readonly string[]): Promise<{ code: number; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-crash-test-'))
  const run = spawn(process.execPath, ['--conditions=errand-source', main, ...args], {
    env: { ...process.env, TMPDIR: folder },
  })
  let output = ''
  for (const stream of [run.stdout, run.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  const code = await new Promise<number>((resolve) =>
    run.once('close', (code) => resolve(code ?? -1)),
  )
  await rm(folder, { recursive: true })
  return { code, output }
}

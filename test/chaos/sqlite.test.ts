import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run, testShortRuns } from './short-run.ts'

testShortRuns(['sqlite'], { jobs: 300, kills: 1, rescues: 1 })

test('wrong use is told apart from a broken rule', async () => {
  for (const args of [
    [],
    ['--store', 'sqlite', '--sabotage', 'luck'],
    ['--store', 'sqlite', '--hours', '1'],
    ['--store', 'nosuch:store'],
  ]) {
    const { code, output } = await run(...args)
    assert.equal(code, 2, output)
    assert.match(output, /npm run chaos -- --store/)
  }
})

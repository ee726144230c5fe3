import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isTooOld } from './node-version.ts'

test('a Node before 22.18 is too old, any later one is not', () => {
  const versions = ['20.20.2', '22.0.0', '22.17.1', '22.18.0', '22.22.1', '24.0.0', '26.10.0']
  assert.deepEqual(versions.map(isTooOld), [true, true, true, false, false, false, false])
})

test('the command imports nothing by name before it has looked at the version', () => {
  const main = readFileSync(new URL('main.ts', import.meta.url), 'utf8')
  const imports = main.match(/^import .*$/gm)
  assert.deepEqual(imports, [
    "import nodeModule from 'node:module'",
    "import { isTooOld, leastNode } from './node-version.ts'",
  ])
})

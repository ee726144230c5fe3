/** The mutants are run by hand; that they still fit the sources is seen at each test run. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'

test('every mutant still applies to the sources', () => {
  const folder = import.meta.dirname
  const patches = readdirSync(folder).filter((file) => file.endsWith('.patch'))
  assert.ok(patches.length > 0)
  const failed = patches.filter((file) => {
    try {
      execFileSync('git', ['apply', '--check', '--unidiff-zero', join(folder, file)], {
        cwd: join(folder, '../..'),
        stdio: 'pipe',
      })
      return false
    } catch {
      return true
    }
  })
  assert.deepEqual(failed, [])
})

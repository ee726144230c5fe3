/** `errand worker --watch`. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { configText, runner, startFleet, until } from './harness.ts'

test('a change of the code restarts the processes after what they run; code that does not load waits for the next change', async (t) => {
  const config = `import { word } from './word.ts'
${configText.replace('return process.pid', 'return word')}`
  const word = (value: string): string => `export const word = '${value}'\n`
  const files = { 'errand.config.ts': config, 'word.ts': word('old') }
  const { cwd, errand, pids, staffed, log } = await startFleet(
    t,
    1,
    ['--watch', '--grace', '0', '--abort-grace', '0'],
    files,
  )
  const save = (text: string): void => writeFileSync(join(cwd, 'word.ts'), text)
  const old = pids()
  const long = await errand.enqueue('nap', 2_000)
  await runner(errand, long.id)
  save(word('new'))
  assert.equal(await long.result({ timeout: '30s' }), 'old')
  const second = await staffed(old)
  const nap = async (): Promise<unknown> => {
    const job = await errand.enqueue('nap', 1)
    return job.result({ timeout: '30s' })
  }
  assert.equal(await nap(), 'new')

  save('export const word = \n')
  await until(() =>
    log().some(({ msg }) => msg.endsWith('before it was up, and waits for a change')),
  )
  save(word('newest'))
  await staffed(second)
  assert.equal(await nap(), 'newest')
  const changes = log().filter(({ msg }) => /word\.ts has changed/.test(msg))
  assert.equal(changes.length, 3)
})

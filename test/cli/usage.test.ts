import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { configText, errand, makeProject } from './command-line.ts'

const commands = [
  'init',
  'worker',
  'enqueue',
  'jobs list',
  'jobs show',
  'jobs result',
  'jobs retry',
  'jobs cancel',
  'jobs remove',
  'queues list',
  'queues pause',
  'queues resume',
  'queues purge',
  'workers',
  'migrate',
  'doctor',
]

test('every command has a help with examples and the global options', async (context) => {
  const cwd = await makeProject(context)
  await Promise.all(
    commands.map(async (command) => {
      const { code, stdout, stderr } = await errand([...command.split(' '), '--help'], { cwd })
      assert.equal(code, 0, command)
      assert.equal(stderr, '')
      assert.match(stdout, new RegExp(`^Usage: errand ${command}`))
      assert.match(stdout, new RegExp(`Examples:\n  .*errand ${command}`))
      assert.match(stdout, /--store <url>/)
    }),
  )
})

test('the help of the command itself tells the exit codes', async (context) => {
  const { code, stdout } = await errand(['--help'], { cwd: await makeProject(context) })
  assert.equal(code, 0)
  for (const exitCode of [0, 1, 2, 3]) assert.match(stdout, new RegExp(`^  ${exitCode}  \\w`, 'm'))
})

const syntaxError = `export default {\n  a: 1,,\n}\n`

/** Each is one clear line on stderr, nothing on stdout, exit code 2, no stack. */
const badUses: Readonly<
  Record<
    string,
    { args: readonly string[]; config?: string; says: RegExp; env?: Record<string, string> }
  >
> = {
  'an unknown command': {
    args: ['wroker'],
    says: /unknown command 'wroker' \(Did you mean worker\?\)/,
  },
  'an unknown subcommand': { args: ['jobs', 'lst'], says: /Did you mean list\?/ },
  'an unknown option': {
    args: ['worker', '--slot', '3'],
    says: /unknown option '--slot' \(Did you mean --slots\?\)/,
  },
  'an option that is no number': {
    args: ['worker', '--slots', 'many'],
    says: /whole number from 1 up/,
  },
  'an option that is no duration': {
    args: ['worker', '--grace', 'soon'],
    says: /must be a duration such as/,
  },
  'an unknown log level': {
    args: ['worker', '--log-level', 'loud'],
    says: /Allowed choices are trace, debug/,
  },
  'an unknown log level in the environment': {
    args: ['worker'],
    env: { ERRAND_LOG_LEVEL: 'loud' },
    says: /ERRAND_LOG_LEVEL.*Allowed choices/,
  },
  'a missing argument': { args: ['enqueue'], says: /missing required argument 'task'/ },
  'no configuration and no store': {
    args: ['jobs', 'list'],
    says: /No configuration \(errand\.config\.ts.*errand init/,
  },
  'a worker without a configuration': {
    args: ['worker', '--store', 'sqlite:a.db'],
    says: /Tasks are listed in it/,
  },
  'a configuration that is not there': {
    args: ['doctor', '--config', 'x.ts', '--json', 'jobs'],
    says: /too many arguments/,
  },
  'a named configuration that is not there': {
    args: ['jobs', 'list', '--config', 'x.ts'],
    says: /no configuration at .*x\.ts/,
  },
  'a configuration with a syntax error': {
    args: ['jobs', 'list'],
    config: syntaxError,
    says: /errand\.config\.ts does not load: .*\(errand\.config\.ts:2\)/,
  },
  'a configuration in more than erasable TypeScript': {
    args: ['jobs', 'list'],
    config: 'enum A { B }\nexport default A',
    says: /enum is not supported.*\(errand\.config\.ts:1\).*without enums/,
  },
  'a configuration that throws': {
    args: ['jobs', 'list'],
    config: `\nthrow new Error('no\\nluck')`,
    says: /does not load: no luck \(errand\.config\.ts:2\)/,
  },
  'a configuration with a missing import': {
    args: ['jobs', 'list'],
    config: `import 'nowhere'`,
    says: /Cannot find package 'nowhere'/,
  },
  'a configuration without a default export': {
    args: ['jobs', 'list'],
    config: 'export const a = 1',
    says: /errand\.config\.ts has no default export/,
  },
  'a configuration without any export': {
    args: ['jobs', 'list'],
    config: 'const a = 1',
    says: /errand\.config\.ts has no default export/,
  },
  'a default export of something else': {
    args: ['jobs', 'list'],
    config: 'export default { store: 1 }',
    says: /must be what createErrand\(\) answers/,
  },
  'an unknown option of createErrand': {
    args: ['jobs', 'list'],
    config: configText.replace('tasks:', 'task:'),
    says: /no option task\. Did you mean tasks\?/,
  },
  'an unknown state': {
    args: ['jobs', 'list', '--state', 'fail'],
    config: configText,
    says: /Did you mean failed\?/,
  },
  'a time that is none': {
    args: ['jobs', 'list', '--created-from', 'then'],
    config: configText,
    says: /--created-from must be a date/,
  },
  'an unknown task': {
    args: ['enqueue', 'ad', '{}'],
    config: configText,
    says: /No task is called ad\. Did you mean add\?/,
  },
  'an input that is not JSON': {
    args: ['enqueue', 'add', '{a:1}'],
    config: configText,
    says: /the input is not JSON/,
  },
  'an input that does not fit': {
    args: ['enqueue', 'add', '{"a":"x","b":2}'],
    config: configText,
    says: /a: .*number/,
  },
  'an unknown queue at enqueue': {
    args: ['enqueue', 'add', '{"a":1,"b":2}', '--queue', 'mial'],
    config: configText,
    says: /No queue is called mial\. Did you mean mail\?/,
  },
  'an unknown queue of a worker': {
    args: ['worker', '--queue', 'mial'],
    config: configText,
    says: /No queue is called mial\. Did you mean mail\?/,
  },
  'an unknown queue to pause': {
    args: ['queues', 'pause', 'mial'],
    config: configText,
    says: /No queue is called mial\./,
  },
  'a bulk verb without a filter': { args: ['jobs', 'retry'], config: configText, says: /--all/ },
  'ids beside a filter': {
    args: ['jobs', 'cancel', '01a20113-2e13-72a7-9872-b729d15a18fd', '--task', 'add'],
    config: configText,
    says: /either ids or filters/,
  },
  'an id that is none': {
    args: ['jobs', 'remove', 'abc'],
    config: configText,
    says: /abc is no id of a job/,
  },
  'a manager by a URL with a password': {
    args: ['jobs', 'list', '--store', 'https://me:secret@manager/jobs'],
    says: /takes no user and password in its URL: put a token in ERRAND_TOKEN/,
  },
  'a store without a scheme': {
    args: ['jobs', 'list', '--store', 'errand.db'],
    says: /did you mean sqlite:errand\.db\?/,
  },
  'a store of an unknown scheme': {
    args: ['jobs', 'list', '--store', 'sqlit:errand.db'],
    says: /Did you mean sqlite:errand\.db\?/,
  },
  'a store in a folder that is not there': {
    args: ['jobs', 'list', '--store', 'sqlite:/nowhere/at/all.db'],
    says: /make sure that its folder exists/,
  },
}

for (const [name, { args, config, says, env = {} }] of Object.entries(badUses)) {
  test(`${name} is refused on one line with exit code 2`, async (context) => {
    const cwd = await makeProject(
      context,
      config === undefined ? {} : { 'errand.config.ts': config },
    )
    const { code, stdout, stderr } = await errand(args, { cwd, env })
    assert.match(stderr, says)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
    assert.equal(stderr.includes('secret'), false)
    assert.equal(stdout, '')
    assert.equal(code, 2)
  })
}

test('--verbose adds the stack and the cause', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': `throw new Error('no luck')` })
  const { code, stderr } = await errand(['jobs', 'list', '--verbose'], { cwd })
  assert.equal(code, 2)
  assert.match(stderr, /^error: .*\n {2}ErrandError: .*\n +at /)
  assert.match(stderr, /\n {2}Caused by: Error: no luck\n +at /)
})

test('a corrupt database file is refused on one line with exit code 2', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  await writeFile(join(cwd, 'errand.db'), 'This is no database. '.repeat(300))
  for (const args of [
    ['jobs', 'list'],
    ['worker'],
    ['migrate'],
    ['enqueue', 'add', '{"a":1,"b":2}'],
  ]) {
    const { code, stdout, stderr } = await errand(args, { cwd })
    assert.match(stderr, /errand\.db is not an intact SQLite database/)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
    assert.equal(stdout, '')
    assert.equal(code, 2)
  }
})

test('a folder that may not be written is refused on one line with exit code 2', async (context) => {
  const cwd = await makeProject(context)
  // Not even root may write there.
  const { code, stdout, stderr } = await errand(
    ['jobs', 'list', '--store', 'sqlite:/proc/errand.db'],
    { cwd },
  )
  assert.match(stderr, /cannot be opened for writing/)
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  assert.equal(stdout, '')
  assert.equal(code, 2)
})

test('a locked database file is refused on one line with exit code 2', async (context) => {
  const config = configText.replace(
    "sqlite('errand.db')",
    "sqlite('errand.db', { callDeadlineMs: 300 })",
  )
  const cwd = await makeProject(context, { 'errand.config.ts': config })
  await errand(['migrate'], { cwd })
  using database = new DatabaseSync(join(cwd, 'errand.db'))
  database.exec('BEGIN IMMEDIATE')
  for (const args of [['enqueue', 'add', '{"a":1,"b":2}'], ['worker']]) {
    const { code, stdout, stderr } = await errand(args, { cwd })
    assert.match(stderr, /held the write lock of .*errand\.db/)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
    assert.equal(stdout, '')
    assert.equal(code, 2)
  }
})

test('--store goes over ERRAND_STORE, and both over the configuration', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const env = { ERRAND_STORE: 'sqlite:from-environment.db' }
  const location = async (args: readonly string[], env: Record<string, string>): Promise<string> =>
    (
      JSON.parse((await errand(['migrate', '--json', ...args], { cwd, env })).stdout) as {
        location: string
      }
    ).location
  assert.equal(await location([], {}), join(cwd, 'errand.db'))
  assert.equal(await location([], env), join(cwd, 'from-environment.db'))
  assert.equal(await location(['--store', 'sqlite:named.db'], env), join(cwd, 'named.db'))
})

test('ERRAND_CONFIG names the configuration', async (context) => {
  const cwd = await makeProject(context, { 'other.ts': configText })
  const { code } = await errand(['migrate'], { cwd, env: { ERRAND_CONFIG: 'other.ts' } })
  assert.equal(code, 0)
})

test('configurations in JavaScript load as well', async (context) => {
  const config = `import { createErrand } from 'errand'\nimport { sqlite } from 'errand/sqlite'\nexport default createErrand({ store: sqlite('a.db') })`
  for (const extension of ['mts', 'js', 'mjs']) {
    const cwd = await makeProject(context, { [`errand.config.${extension}`]: config })
    const { code, stderr } = await errand(['migrate'], { cwd })
    assert.equal(stderr, '')
    assert.equal(code, 0)
  }
})

test('a configuration that prints leaves stdout to the answer', async (context) => {
  const config = configText.replace(
    'export default',
    "console.log('connecting …')\nprocess.stdout.write('more')\nexport default",
  )
  const cwd = await makeProject(context, { 'errand.config.ts': config })
  for (const args of [['jobs', 'list'], ['queues', 'list'], ['workers'], ['doctor'], ['migrate']]) {
    const { stdout, stderr } = await errand([...args, '--json'], { cwd })
    assert.doesNotThrow(() => JSON.parse(stdout), stdout)
    assert.match(stderr, /connecting …/)
  }
})

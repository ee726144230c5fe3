/** `errand init`: write a configuration and a first task that runs. */
import { mkdir, readdir, readFile, writeFile, appendFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { ErrandError } from '../../core/errors.ts'
import { action } from '../action.ts'
import { examples } from '../help.ts'
import { findConfigIn } from '../load-config.ts'
import { version } from '../../core/version.ts'
import { print, printJson } from '../terminal.ts'

/** One file of a new project. `skipped` ones were there before. */
interface Written {
  readonly file: string
  readonly did: 'written' | 'extended' | 'kept'
}

export function addInit(program: Command): void {
  const command = program
    .command('init')
    .summary('write a configuration and a first task')
    .description(
      'Write a configuration and a first task that runs. Files that exist are kept as they are, but that a package.json with nothing but dependencies, in a folder without code, becomes one of modules.',
    )
    .argument('[folder]', 'where', '.')
    .action(
      action<object, [string]>(async (options, folder) => {
        const written = await init(resolve(folder)).catch(unwritable)
        if (options.json) printJson(written)
        else printNext(folder, written)
        return 0
      }),
    )
  examples(command, [
    ['errand init', 'in this folder'],
    ['errand init jobs', 'in a new one'],
  ])
}

async function init(folder: string): Promise<readonly Written[]> {
  await mkdir(folder, { recursive: true })
  const manifest = await writeManifest(folder)
  // A module of TypeScript is one by its name where the package does not say so.
  const extension = (await isModulePackage(folder)) ? 'ts' : 'mts'
  const config = findConfigIn(folder)
  return [
    ...manifest,
    await write(folder, `tasks.${extension}`, tasksText),
    config === null
      ? await write(folder, `errand.config.${extension}`, configText(extension))
      : { file: config, did: 'kept' },
    await ignoreDatabase(folder),
  ]
}

const tasksText = `import { task } from 'errand'

/** A first task. Enqueue it: npx errand enqueue hello '{"name":"you"}' --wait */
export const hello = task({
  name: 'hello',
  async run({ name }: { name: string }, job) {
    job.log.info(\`attempt \${job.attempt} says hello\`)
    return { greeting: \`Hello, \${name}!\` }
  },
})
`

function configText(extension: string): string {
  return `import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { hello } from './tasks.${extension}'

export default createErrand({
  store: sqlite('errand.db'),
  tasks: [hello],
})
`
}

/** A package of its own, unless the folder lies in one. One that `npm install` has begun here becomes one of modules. */
async function writeManifest(folder: string): Promise<readonly Written[]> {
  const begun = await begunManifest(folder)
  if (begun !== null) {
    const text = JSON.stringify({ type: 'module', ...begun }, null, 2)
    await writeFile(join(folder, 'package.json'), `${text}\n`)
    return [{ file: 'package.json', did: 'extended' }]
  }
  if ((await nearestManifest(folder)) !== null) return []
  const manifest = {
    name: packageName(folder),
    private: true,
    type: 'module',
    dependencies: { errand: `^${version}` },
  }
  return [await write(folder, 'package.json', `${JSON.stringify(manifest, null, 2)}\n`)]
}

/** What npm writes into an empty folder, in which no code can depend on how modules are read. */
const begunFiles: readonly string[] = ['package.json', 'package-lock.json', 'node_modules']
const begunKeys: readonly string[] = ['dependencies', 'devDependencies']

async function begunManifest(folder: string): Promise<object | null> {
  const files = await readdir(folder)
  if (!files.every((file) => begunFiles.includes(file) || file.startsWith('.'))) return null
  try {
    const text = await readFile(join(folder, 'package.json'), 'utf8')
    const manifest = JSON.parse(text) as object
    return Object.keys(manifest).every((key) => begunKeys.includes(key)) ? manifest : null
  } catch {
    return null
  }
}

function packageName(folder: string): string {
  return (
    basename(folder)
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, '-')
      .replaceAll(/^-+|-+$/g, '') || 'jobs'
  )
}

async function isModulePackage(folder: string): Promise<boolean> {
  const text = await nearestManifest(folder)
  try {
    return (JSON.parse(text ?? '{}') as { readonly type?: unknown }).type === 'module'
  } catch {
    return false
  }
}

async function nearestManifest(folder: string): Promise<string | null> {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => null)
  if (text !== null || dirname(folder) === folder) return text
  return nearestManifest(dirname(folder))
}

async function ignoreDatabase(folder: string): Promise<Written> {
  const path = join(folder, '.gitignore')
  const before = await readFile(path, 'utf8').catch(() => '')
  const pattern = 'errand.db*'
  if (before.split('\n').some((line) => line.trim() === pattern))
    return { file: '.gitignore', did: 'kept' }
  await appendFile(path, `${before === '' || before.endsWith('\n') ? '' : '\n'}${pattern}\n`)
  return { file: '.gitignore', did: before === '' ? 'written' : 'extended' }
}

async function write(folder: string, file: string, text: string): Promise<Written> {
  try {
    await writeFile(join(folder, file), text, { flag: 'wx' })
    return { file, did: 'written' }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { file, did: 'kept' }
  }
}

function unwritable(cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new ErrandError('invalid-option', `Nothing can be written there: ${why}`, { cause })
}

function printNext(folder: string, written: readonly Written[]): void {
  for (const { file, did } of written) print(`${did.padEnd(8)}  ${join(folder, file)}`)
  const steps = [
    ...(relative('', folder) === '' ? [] : [`cd ${folder}`]),
    ...(isInstalled(folder) ? [] : ['npm install errand']),
    'npx errand worker',
    `npx errand enqueue hello '{"name":"you"}' --wait     # in a second terminal`,
  ]
  print(`\nNext:\n${steps.map((step) => `  ${step}`).join('\n')}`)
}

function isInstalled(folder: string): boolean {
  try {
    createRequire(join(resolve(folder), 'package.json')).resolve('errand/package.json')
    return true
  } catch {
    return false
  }
}

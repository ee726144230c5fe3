/**
 * The documents keep their word: their TypeScript compiles, what claims to run runs, links lead somewhere, pages stay short.
 *
 * A fence says what is done with its block:
 * - `ts`: a module of its own, compiled;
 * - `ts more`: goes on where the page's last `ts` block ended, in the same module;
 * - `ts <name>.ts`: a file of that name beside the page's other modules, which may import it;
 * - `ts run`, `ts more run`: the module is run as well, and must end with exit code 0; a `text output` block after it
 *   shows what it prints; with `postgres` or `redis` it needs that server, at DATABASE_URL or REDIS_URL;
 * - `sh run`: commands that are run where the page's named files lie, `errand` being this repository's; `sh background` goes
 *   on until the page's last command has ended;
 * - `ts ignore`: a fragment that is neither.
 */
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  copyFileSync,
} from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import test, { after, suite } from 'node:test'
import { pageServers, type Need } from './page-servers.ts'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'errand-documents-'))
const condition = '--conditions=errand-source'
const timeoutMs = 60_000
const longest: Readonly<Record<string, number>> = { 'README.md': 200, 'ARCHITECTURE.md': 250 }

interface Block {
  readonly language: string
  readonly words: readonly string[]
  readonly text: string
  readonly line: number
}

interface Page {
  readonly file: string
  readonly text: string
  readonly blocks: readonly Block[]
}

/** A module put together from blocks. */
interface Module {
  readonly name: string
  text: string
  runs: boolean
  need: Need | null
  readonly line: number
  output: string | null
}

const pages: readonly Page[] = globSync(['*.md', 'docs/*.md'], { cwd: root })
  .toSorted()
  .map((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return { file, text, blocks: blocksOf(text) }
  })
const written = new Map(pages.map((page) => [page, modulesOf(page)]))
const needed = [...written.values()].flat().flatMap(({ need }) => (need === null ? [] : [need]))
const servers = await pageServers(new Set(needed))

after(async () => {
  rmSync(folder, { recursive: true })
  await servers.stop()
})
installHere()
for (const [page, modules] of written) write(page, modules)

test('the TypeScript of every page compiles', async () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const printed = await run(process.execPath, [tsc, '-p', folder], folder).catch(
    (error: Error) => error.message,
  )
  assert.equal(printed.trim(), '')
})

suite('pages', { concurrency: 2 }, () => {
  for (const [page, modules] of written) {
    for (const { name, line, output, need } of modules.filter(({ runs }) => runs)) {
      const skip = need !== null && !servers.has(need)
      test(`${page.file}:${line} runs`, { skip }, async () => {
        const env = { ...cleanEnv(), ...servers.env }
        const printed = await run(process.execPath, [condition, name], folderOf(page), env)
        if (output !== null) assert.equal(printed.trim(), output.trim())
      })
    }
    const commands = page.blocks.filter(
      ({ language, words }) => language === 'sh' && words.length > 0,
    )
    if (commands.length > 0)
      test(`the commands of ${page.file} run`, () => runCommands(page, commands))
  }
})

test('links between pages lead to pages and headings that exist', () => {
  const broken: string[] = []
  for (const { file, text } of pages) {
    for (const [, target = ''] of withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const found = path === '' ? file : join(dirname(file), path)
      if (!existsSync(join(root, found))) broken.push(`${file}: ${target}`)
      else if (anchor !== undefined && !anchorsOf(found).includes(anchor))
        broken.push(`${file}: ${target}`)
    }
  }
  assert.deepEqual(broken, [])
})

test('pages keep to their limits of lines and of characters in a line', () => {
  const over: string[] = []
  for (const { file, text } of pages) {
    const lines = text.trimEnd().split('\n')
    if (lines.length > (longest[file] ?? Infinity)) over.push(`${file} has ${lines.length} lines`)
    // What a program printed is as wide as it is.
    let fence: string | null = null
    for (const [i, line] of lines.entries()) {
      if (line.startsWith('```')) fence = fence === null ? line : null
      const isPrinted = fence !== null && !fence.startsWith('```ts')
      if (line.length > 130 && !line.startsWith('|') && !isPrinted)
        over.push(`${file}:${i + 1} has ${line.length} characters`)
    }
  }
  assert.deepEqual(over, [])
})

test('the index of docs/ names every page', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8')
  const named = globSync('*.md', { cwd: join(root, 'docs') }).filter((file) => file !== 'README.md')
  assert.deepEqual(
    named.filter((file) => !index.includes(`](${file})`)),
    [],
  )
})

function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = []
  for (const match of text.matchAll(/^```([a-z]+)([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const [, language = '', info = '', content = ''] = match
    const line = text.slice(0, match.index).split('\n').length
    blocks.push({ language, words: info.trim().split(/\s+/).filter(Boolean), text: content, line })
  }
  return blocks
}

function modulesOf({ file, blocks }: Page): readonly Module[] {
  const modules: Module[] = []
  for (const { language, words, text, line } of blocks) {
    const last = modules.at(-1)
    if (language === 'text' && words.includes('output') && last !== undefined) last.output = text
    if (language !== 'ts' || words.includes('ignore')) continue
    const name = words.find((word) => word.endsWith('.ts'))
    const runs = words.includes('run')
    const need = (['postgres', 'redis'] as const).find((one) => words.includes(one)) ?? null
    if (words.includes('more')) {
      assert.ok(last !== undefined, `${file}:${line} goes on from nothing`)
      last.text += `\n${text}`
      last.runs ||= runs
      last.need ??= need
    } else {
      modules.push({ name: name ?? `line-${line}.ts`, text, runs, need, line, output: null })
    }
  }
  return modules
}

/** Lets modules in the folder import what the repository's own may, and the package itself. */
function installHere(): void {
  const packages = join(folder, 'node_modules')
  mkdirSync(packages)
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(packages, name))
  }
  symlinkSync(root, join(packages, 'errand'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { types: ['node'], declaration: false },
    include: ['**/*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
}

function folderOf({ file }: Page): string {
  return join(folder, file.replaceAll('/', '-').replace(/\.md$/, ''))
}

function write(page: Page, modules: readonly Module[]): void {
  mkdirSync(folderOf(page))
  for (const { name, text } of modules)
    writeFileSync(join(folderOf(page), name), `${text}\nexport {}\n`)
}

/** Runs shell blocks in their order, in a folder of their own. */
async function runCommands(page: Page, blocks: readonly Block[]): Promise<void> {
  const place = join(folderOf(page), 'commands')
  const programs = join(folder, 'bin')
  mkdirSync(place)
  for (const { words, text } of page.blocks) {
    const name = words.find((word) => word.endsWith('.ts'))
    if (name !== undefined) writeFileSync(join(place, name), text)
  }
  // Programs that the page tells to take.
  for (const [, file = ''] of page.text.matchAll(/Take \[[\w.]+\]\(([\w./]+)\)/g))
    copyFileSync(join(root, dirname(page.file), file), join(place, basename(file)))
  mkdirSync(programs, { recursive: true })
  const npx = `#!/bin/sh\nshift\nexec '${process.execPath}' ${condition} '${join(root, 'src/cli/main.ts')}' "$@"\n`
  writeFileSync(join(programs, 'npx'), npx, { mode: 0o755 })
  writeFileSync(join(programs, 'npm'), '#!/bin/sh\n', { mode: 0o755 })
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    NO_COLOR: '1',
    PATH: `${programs}:${process.env['PATH']}`,
  }
  const background: ChildProcess[] = []
  try {
    for (const { words, text, line } of blocks) {
      const script = ['-ec', text]
      if (words.includes('background')) {
        background.push(
          spawn('sh', ['-ec', `exec ${text.trim()}`], { cwd: place, env, stdio: 'ignore' }),
        )
        continue
      }
      const printed = await run('sh', script, place, env)
      const { blocks: all } = page
      const shown = all[all.findIndex((block) => block.line === line) + 1]
      if (shown?.words.includes('output')) assert.equal(unspaced(printed), unspaced(shown.text))
    }
  } finally {
    for (const child of background) await ended(child)
  }
}

/** On a terminal the same JSON is indented. */
function unspaced(text: string): string {
  return text.replaceAll(/\s/g, '')
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env = cleanEnv(),
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, timeout: timeoutMs, env }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${stdout}${stderr}`, { cause: error }))
    })
  })
}

function cleanEnv(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined, NO_COLOR: '1' }
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
}

/** Anchors of a page's headings, as hosts of repositories make them. */
function anchorsOf(file: string): readonly string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '')
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/**
 * Servers for tests. Each kind is looked for in this order: a URL in the environment; a binary of this machine, started privately in a
 * temporary folder on a free port, so that it may be killed; on Debian, as root, the package that brings the binary. What cannot be had
 * skips its suite with one loud line, and fails it when `CI=true`.
 */
import { randomInt } from 'node:crypto'
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import test from 'node:test'
import { endsWithThis } from './ends.ts'

/** A process that a test started: it may be killed, and started again on the same port and folder. */
export interface Started {
  /** Ends the process as if it were killed. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

/** A server in reach; `started` is null for one that the environment names. */
export interface Service<S extends Started = Started> {
  readonly url: string
  readonly started: S | null
  /** Ends what was started for this file; to be called after its tests. */
  stop(): Promise<void>
}

/** A program that a suite needs, and how to come by one. */
export interface Program {
  readonly name: string
  /** The variable of the environment that names a running one. */
  readonly variable: string
  /** The package of Debian that brings the binary. */
  readonly debianPackage: string
  /** An older release of Debian that still has the package. */
  readonly olderRelease?: string
  /** The path of the binary; null when this machine has none. */
  readonly binary: () => string | null
}

/** A kind of server. */
export interface Kind<S extends Started> extends Program {
  start(binary: string): Promise<S & { readonly url: string }>
}

/** Finds a server of a kind, or null, and then the suite has been told. */
export async function findService<S extends Started>(kind: Kind<S>): Promise<Service<S> | null> {
  const url = process.env[kind.variable]
  if (url !== undefined && url !== '') return { url, started: null, stop: async () => {} }
  const binary = findBinary(kind)
  if (binary === null) return null
  const started = await kind.start(binary)
  return { url: started.url, started, stop: () => started.stop() }
}

/** Finds the binary of a program, or null, and then the suite has been told: for servers that only their own process can be. */
export function findBinary(program: Program): string | null {
  const { name, variable, debianPackage, binary } = program
  const found = binary() ?? (install(program) ? binary() : null)
  if (found !== null) return found
  tellMissing(`NO ${name.toUpperCase()} IS TESTED: set ${variable}, or install ${debianPackage}`)
  return null
}

/** Says in one loud line what is not tested here, and what to install; under `CI=true` that is a test which fails. */
export function tellMissing(why: string): void {
  const isCi = process.env['CI'] === 'true'
  test(why, { skip: !isCi }, () => {
    throw new Error(why)
  })
  if (!isCi) process.stderr.write(`${why}\n`)
}

/** The first program of a name that the PATH leads to. */
export function onPath(name: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

/** A server in a process of its own, which ends with the tests at the latest. */
export class OwnProcess {
  readonly #command: string
  readonly #args: readonly string[]
  readonly #options: SpawnOptions
  #child: ChildProcess | null = null

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    this.#command = command
    this.#args = args
    this.#options = options
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get isRunning(): boolean {
    const child = this.#child
    return child !== null && child.exitCode === null && child.signalCode === null
  }

  start(): void {
    const options = { stdio: 'ignore', ...this.#options } as const
    this.#child = endsWithThis(spawn(this.#command, this.#args, options))
    this.#child.unref()
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.ref()
    child.kill(signal)
    await ended
  }
}

/** How a private server is started. */
export interface OwnServer {
  readonly name: string
  /** A folder of its own, which ends with it: see `ownFolder`. */
  readonly folder: string
  readonly command: string
  readonly args: readonly string[]
  readonly options?: SpawnOptions
  /** Rejects while it does not answer yet. */
  readonly answers: () => Promise<unknown>
}

/** Starts a private server, and resolves when it answers. One that does not leaves nothing behind. */
export async function startOwn(
  server: OwnServer,
): Promise<Started & { readonly process: OwnProcess }> {
  const { name, folder, command, args, options, answers } = server
  const own = new OwnProcess(command, args, options)
  const kill = (): Promise<void> => own.end('SIGKILL')
  const start = (): Promise<void> => {
    own.start()
    return comesUp(name, answers)
  }
  const stop = async (): Promise<void> => {
    await kill()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return { process: own, start, kill, stop }
}

/** A temporary folder for a server. */
export function ownFolder(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `errand-${name}-`))
}

/** Resolves when an address answers as it should, by default with a success. Rejects after a second. */
export async function answersAt(
  url: string,
  isRight: (status: number) => boolean = (status) => status < 300,
): Promise<void> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) })
  await answer.arrayBuffer()
  if (!isRight(answer.status)) throw new Error(`${url} answers ${answer.status}`)
}

/**
 * Below those that the system gives to whoever connects, which would take a port before its server listens there; a node of a Redis
 * cluster takes the port 10,000 above its own, too.
 */
const ports = { from: 10_000, to: 22_000 } as const

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(ports.from, ports.to)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** For so long a server may start: on a busy machine a broker takes most of a minute. */
const startMs = 90_000

/** Resolves when the check does not throw any more. */
export async function comesUp(name: string, check: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + startMs
  for (;;) {
    try {
      await check()
      return
    } catch (cause) {
      if (performance.now() > end) throw new Error(`${name} does not come up`, { cause })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

function install({ debianPackage, olderRelease }: Program): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return false
  try {
    // Files of tests run beside each other, and apt-get does not.
    const alone = ['-w', '600', join(tmpdir(), 'errand-apt.lock'), 'apt-get']
    const run = (...args: readonly string[]): unknown =>
      execFileSync('flock', [...alone, '-qq', '-y', '-o', 'DPkg::Lock::Timeout=300', ...args], {
        stdio: 'ignore',
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      })
    if (olderRelease !== undefined) addRelease(olderRelease)
    run('update')
    run('install', '--no-install-recommends', debianPackage)
    return true
  } catch {
    return false
  }
}

/** Lets packages of an older release be installed where the machine's own has none, from the same place as those. */
function addRelease(release: string): void {
  const lists = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']
  const text = lists.map((list) => (existsSync(list) ? readFileSync(list, 'utf8') : '')).join('\n')
  const place = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+)/m.exec(text)?.[1]
  if (place === undefined) throw new Error('the sources of apt name no place for packages')
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg'
  writeFileSync(
    `/etc/apt/sources.list.d/errand-${release}.list`,
    `deb [signed-by=${key}] ${place} ${release} main\n`,
  )
  writeFileSync(
    `/etc/apt/preferences.d/errand-${release}`,
    `Package: *\nPin: release n=${release}\nPin-Priority: 100\n`,
  )
}

/** Errand on servers, beside peers: `npm run bench -- --peers`, or `--store` with one of them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeMachine } from '../kit/machine.ts'
import { shown } from '../kit/numbers.ts'
import { ticks } from '../kit/ticks.ts'
import { postgresGroups } from './groups/postgres.ts'
import { redisGroups } from './groups/redis.ts'
import { sizer } from './groups/sizes.ts'
import type { Group } from './group.ts'
import { section, summary } from './report.ts'
import { runGroup, type Outcome } from './rounds.ts'
import { startPostgres, startRedis, type Server } from './servers.ts'
import type { PeerName } from './side.ts'
import { bestErrand } from './sides/errand.ts'
import { versionOf } from './sides/package.ts'
import { postgresPlaces, redisPlaces } from './stage.ts'

export interface AgainstOptions {
  readonly stores: readonly StoreName[]
  /** Names of groups; null for all. */
  readonly only: readonly string[] | null
  readonly isQuick: boolean
  readonly runs: number
}

/** A store should take no more than a quarter of an hour: then what does not count is not repeated any more. */
const repeatWithinMs = 15 * 60_000

export const storeNames = ['postgres', 'redis'] as const
type StoreName = (typeof storeNames)[number]

/** What is installed for a store. */
const packages: Readonly<Record<StoreName, readonly string[]>> = {
  postgres: ['graphile-worker', 'pg-boss', 'pg'],
  redis: ['bullmq', 'ioredis'],
}

interface Compared {
  readonly title: string
  readonly peers: readonly PeerName[]
  readonly servers: readonly Server[]
  readonly groups: readonly Group[]
}

/** Compares on each store, prints a table for each, and writes it if everything was measured in full. Answers whether all was. */
export async function compareWithPeers(options: AgainstOptions): Promise<boolean> {
  // Servers end, and their folders go, when this process exits; a signal alone would not make it do so.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  let isWhole = true
  for (const store of options.stores) {
    const compared = await prepare(store, options)
    try {
      isWhole = (await compareOn(store, compared, options)) && isWhole
    } finally {
      for (const server of compared.servers) await server.stop()
    }
  }
  return isWhole
}

async function prepare(store: StoreName, { isQuick }: AgainstOptions): Promise<Compared> {
  const sized = sizer(isQuick)
  switch (store) {
    case 'postgres': {
      const server = await startPostgres()
      return {
        title: 'Errand on PostgreSQL, beside graphile-worker and pg-boss',
        peers: ['graphile-worker', 'pg-boss'],
        servers: [server],
        groups: postgresGroups(postgresPlaces(server), sized),
      }
    }
    case 'redis': {
      const [synced, bare] = [await startRedis('everysec'), await startRedis('none')]
      const places = { synced: redisPlaces(synced), bare: redisPlaces(bare) }
      return {
        title: 'Errand on Redis, beside BullMQ',
        peers: ['bullmq'],
        servers: [synced, bare],
        groups: redisGroups(places, sized),
      }
    }
  }
}

async function compareOn(
  store: StoreName,
  { title, peers, servers, groups }: Compared,
  { only, isQuick, runs }: AgainstOptions,
): Promise<boolean> {
  const chosen = groups.filter(({ name }) => only?.includes(name) ?? true)
  if (chosen.length === 0) return true
  const isAlone = chosen.every((group) => group.isAlone === true)
  const versions = isAlone ? [] : packages[store].map(versionOf)
  const since = new Date()
  const repeatUntil = ticks() + repeatWithinMs
  const outcomes: Outcome[] = []
  for (const group of chosen)
    outcomes.push(
      await runGroup(group, {
        runs,
        isQuick,
        repeatUntil,
        servers: servers.map(({ pid }) => pid),
        onPiece: (name, figures) =>
          console.error(
            `${store} ${name}: ${Object.entries(figures)
              .map(([figure, value]) => `${figure} ${shown(value)}`)
              .join(', ')}`,
          ),
      }),
    )
  const minutes = (Date.now() - since.getTime()) / 60_000
  const about = [
    `Measured on ${since.toISOString().slice(0, 10)} in ${shown(minutes)} minutes by \`npm run bench -- --store ${store}\`${isQuick ? ', **at a tenth of the full size**' : ''}.`,
    ...machine(),
    ...servers.map(
      ({ version, settings }) => `${version}, a server of the bench's own: ${settings}`,
    ),
    ...(isAlone
      ? []
      : [
          `${versions.join(', ')}; peers with the best settings of baseline.md, Errand best: ${bestErrand}`,
        ]),
    'Payload of about 250 bytes where nothing else is said, a handler that does nothing, each side in processes of its own, in turn; every job ran exactly once. Ratios are those within a run.',
  ]
  const text = [
    `# ${title}`,
    about.map((line) => `- ${line}`).join('\n'),
    summary(outcomes),
    ...outcomes.map((outcome) => section(outcome, peers)),
  ].join('\n\n')
  console.log(`${text}\n`)
  if (only === null && !isQuick) write(store, text)
  return outcomes.every(({ problem }) => problem === null)
}

function machine(): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'errand-bench-'))
  try {
    return describeMachine(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function write(store: StoreName, text: string): void {
  const folder = new URL('../results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(`${store}.md`, folder), `${text}\n`)
}

/** The end of a master of a cluster: a replica takes over, and the server comes back as its replica. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../redis-server.ts'
import { asked } from './asked.ts'
import { draw, type Random } from './random.ts'

const masterCount = 3
const withinMs = 30_000
const lookMs = 50

/** Kills a master, and brings it back after `down` once a replica has taken over. Resolves when the cluster is whole again. */
export async function failOver(
  servers: readonly RedisServer[],
  random: Random,
  down: () => Promise<void>,
): Promise<void> {
  const states = await Promise.all(servers.map(stateOf))
  const doomed = draw(
    random,
    servers.filter((_, i) => states[i] === 'master'),
  )
  if (doomed === undefined) throw new Error('the cluster has no master')
  const others = servers.filter((server) => server !== doomed)
  await doomed.kill()
  await until('a replica to take over', async () => {
    const now = await Promise.all(others.map(stateOf))
    return now.filter((state) => state === 'master').length === masterCount
  })
  await down()
  await doomed.start()
  await becomesWhole(servers)
}

/** Resolves when every replica follows its master, so that it can take over. */
export async function becomesWhole(servers: readonly RedisServer[]): Promise<void> {
  await until('the cluster to be whole', async () => {
    const states = await Promise.all(servers.map(stateOf))
    return (
      states.filter((state) => state === 'master').length === masterCount &&
      states.every((state) => state === 'master' || state === 'following')
    )
  })
}

async function stateOf({ port }: RedisServer): Promise<'master' | 'following' | 'waiting'> {
  const [cluster, replication] = await asked(port, (client) =>
    Promise.all([client.cluster('INFO'), client.info('replication')]),
  )
  if (!cluster.includes('cluster_state:ok')) return 'waiting'
  if (replication.includes('role:master')) return 'master'
  return replication.includes('master_link_status:up') ? 'following' : 'waiting'
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited too long for ${what}`)
    await sleep(lookMs)
  }
}

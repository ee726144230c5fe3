/** A proxy between a client and a server that can fall silent or swallow answers, as networks do. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /** The ports from which it is connected to the server, as the server sees them. */
  readonly upstreamPorts: readonly number[]
  /** Carries nothing any more, in either direction, and closes nothing; new connections are taken and left silent. */
  fallSilent(): void
  /** Ends each of the connections that are open at its next request, which is kept, as if it were still on its way. */
  keepRequests(): void
  /** Carries what was kept to the server, and resolves when it has answered, to nobody. */
  carryKept(): Promise<void>
  /** Carries requests but no answers. */
  swallowAnswers(): void
  /** Carries everything again; connections that fell silent stay so. */
  recover(): void
  /** Holds everything back, in both directions and on new connections too, as a way that is broken for a while. */
  hold(): void
  /** Carries what was held back, late, and everything from then on. */
  release(): void
  /** Ends all connections that are open. */
  cut(): void
  /** Leads new connections to another server; those that are open stay where they are. */
  aim(target: number): void
  close(): Promise<void>
}

type Mode = 'open' | 'silent' | 'deaf' | 'held'

interface Link {
  isLost: boolean
  /** Whether the next request is kept. */
  keeps: boolean
  readonly upstream: Socket
}

export async function tcpProxy(first: number): Promise<TcpProxy> {
  let target = first
  let mode: Mode = 'open'
  const sockets = new Set<Socket>()
  const links = new Set<Link>()
  const kept: { readonly data: Buffer | string; readonly upstream: Socket }[] = []
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const link: Link = { isLost: mode === 'silent', keeps: false, upstream }
    links.add(link)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        links.delete(link)
        if (!link.isLost) for (const other of [client, upstream]) other.destroy()
      })
    }
    client.on('data', (data) => {
      if (link.keeps) {
        kept.push({ data, upstream })
        link.isLost = true
        client.destroy()
      } else if (!link.isLost) upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (!link.isLost && mode !== 'deaf') client.write(data)
    })
    if (mode === 'held') for (const socket of [client, upstream]) socket.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    get upstreamPorts() {
      return [...links].flatMap(({ upstream }) => upstream.localPort ?? [])
    },
    fallSilent: () => {
      mode = 'silent'
      for (const link of links) link.isLost = true
    },
    keepRequests: () => {
      for (const link of links) link.keeps = true
    },
    carryKept: async () => {
      const answers = kept.map(({ upstream }) => once(upstream, 'data'))
      for (const { data, upstream } of kept.splice(0)) upstream.write(data)
      await Promise.all(answers)
    },
    swallowAnswers: () => {
      mode = 'deaf'
    },
    recover: () => {
      mode = 'open'
    },
    hold: () => {
      mode = 'held'
      for (const socket of sockets) socket.pause()
    },
    release: () => {
      mode = 'open'
      for (const socket of sockets) socket.resume()
    },
    cut,
    aim: (next) => {
      target = next
    },
    close: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

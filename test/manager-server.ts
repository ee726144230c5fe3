/** A manager in this process that can be stopped, killed and started again on its port, as a process can. */
import { createServer, type Server } from 'node:http'
import { createErrand, type Errand } from '../src/index.ts'
import { manager, type Manager } from '../src/manager/index.ts'
import type { Store } from '../src/store/store.ts'
import { freePort } from './services.ts'

export interface ManagerUnderTest {
  readonly url: string
  readonly port: number
  /** Starts so far. */
  readonly starts: number
  /** Ends all connections without a word, whatever is under way, and starts anew. */
  kill(): Promise<void>
  /** Lets what is under way end, and starts anew. */
  restart(): Promise<void>
  close(): Promise<void>
}

interface Running {
  readonly errand: Errand
  readonly manager: Manager
  readonly server: Server
}

export interface ManagerUnderTestOptions {
  /** Opens the store of the manager, once for each start. */
  readonly open: () => Store
  /** Called when a request has arrived. */
  readonly onRequest?: () => void
}

export async function managerUnderTest(
  options: ManagerUnderTestOptions,
): Promise<ManagerUnderTest> {
  let starts = 0
  const port = await freePort()
  const ended: Promise<void>[] = []

  async function start(): Promise<Running> {
    starts += 1
    const errand = createErrand({ store: options.open(), tasks: [] })
    const made = manager(errand)
    const server = await new Promise<Server>((resolve, reject) => {
      const one = createServer((request, response) => void made.listener(request, response))
      one.on('error', reject)
      one.listen(port, '127.0.0.1', () => resolve(one))
    })
    server.prependListener('request', () => options.onRequest?.())
    return { errand, manager: made, server }
  }

  let running = await start()

  async function end({ errand, manager: made, server }: Running, how: 'kill' | 'stop') {
    const closed = new Promise((resolve) => server.close(resolve))
    if (how === 'kill') server.closeAllConnections()
    await made.stop()
    // A connection that is kept after its last answer would hold the server up.
    const idle = setInterval(() => server.closeIdleConnections(), 5)
    await closed
    clearInterval(idle)
    // What a killed process had begun, its database may still carry out.
    ended.push(errand.close())
    if (how === 'stop') await Promise.all(ended)
  }

  const again = async (how: 'kill' | 'stop'): Promise<void> => {
    await end(running, how)
    running = await start()
  }

  return {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get port() {
      return port
    },
    get starts() {
      return starts
    },
    kill: () => again('kill'),
    restart: () => again('stop'),
    async close() {
      await end(running, 'kill')
      await Promise.all(ended)
    },
  }
}

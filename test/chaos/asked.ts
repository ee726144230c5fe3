/** One question to a server of Redis, on a connection of its own. */
import { Redis } from 'ioredis'

/** Rejects when the server is away. */
export async function asked<T>(port: number, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => null })
  client.on('error', () => undefined)
  try {
    return await question(client)
  } finally {
    client.disconnect()
  }
}

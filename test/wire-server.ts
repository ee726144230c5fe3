/** A server that speaks as much of PostgreSQL's protocol as a client needs to be refused: it lets everybody in, and answers what it is told to. */
import { createServer, type Socket } from 'node:net'

export interface WireServer {
  readonly url: string
  /** Connections that were let in, and those of them that are open. */
  readonly let: { count: number; open: number }
  close(): Promise<void>
}

const sslRequest = 80_877_103

/** Starts one. `answer` gives the SQLSTATE with which the statement of a connection is refused, by its number from 1; null for success. */
export async function wireServer(
  answer: (connection: number) => string | null,
): Promise<WireServer> {
  const sockets = new Set<Socket>()
  const seen = { count: 0, open: 0 }
  const server = createServer((socket) => {
    sockets.add(socket)
    let isIn = false
    let number = 0
    let rest: Buffer = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      sockets.delete(socket)
      if (isIn) seen.open -= 1
    })
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data])
      for (;;) {
        const lengthAt = isIn ? 1 : 0
        if (rest.length < lengthAt + 4) return
        const end = lengthAt + rest.readInt32BE(lengthAt)
        if (rest.length < end) return
        const message = rest.subarray(0, end)
        rest = rest.subarray(end)
        if (!isIn && message.readInt32BE(4) === sslRequest) {
          socket.write('N')
        } else if (!isIn) {
          isIn = true
          number = seen.count += 1
          seen.open += 1
          socket.write(
            Buffer.concat([packet('R', int(0)), packet('K', int(number), int(0)), ready]),
          )
        } else if (message[0] === 'Q'.charCodeAt(0)) {
          const code = answer(number)
          const reply = code === null ? packet('C', text('SELECT 0')) : refusal(code)
          socket.write(Buffer.concat([reply, ready]))
        }
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return {
    url: `postgres://someone@127.0.0.1:${port}/anything`,
    let: seen,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function packet(kind: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(kind, 'latin1'), int(body.length + 4), body])
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

function refusal(code: string): Buffer {
  return packet('E', text('SERROR'), text(`C${code}`), text('Mrefused'), Buffer.alloc(1))
}

const ready = packet('Z', Buffer.from('I'))

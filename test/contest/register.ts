/**
 * Something that a singleton writes to, in a process of its own: it takes a write only if its token is no smaller than any before, as a
 * database would that a careful user fences. It keeps every write, for the director to judge.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One write as the register saw it. */
export interface Write {
  readonly at: number
  readonly contender: string
  readonly token: number
  readonly accepted: boolean
}

let greatest = 0
let writes: Write[] = []

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://register')
  if (url.pathname === '/writes') {
    // Told once each: the director keeps them.
    response.end(JSON.stringify(writes))
    writes = []
    return
  }
  const token = Number(url.searchParams.get('token'))
  const contender = url.searchParams.get('contender') ?? ''
  const accepted = token >= greatest
  greatest = Math.max(greatest, token)
  writes.push({ at: Date.now(), contender, token, accepted })
  response.writeHead(accepted ? 204 : 409)
  response.end()
})
server.listen(0, '127.0.0.1', () => {
  process.send?.((server.address() as AddressInfo).port)
})
process.on('disconnect', () => process.exit())

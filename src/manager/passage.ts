/** What is learned of a request on its way, for those who answer it and those who report it. */
import type { Readable } from 'node:stream'
import type { Rate } from './access/rate-limit.ts'
import type { Peer } from './access/local.ts'
import type { Call } from './call.ts'
import type { Caller } from './caller.ts'
import type { Route } from './route.ts'

export interface Passage {
  /** The other end of the connection; null where the server of somebody else has it. */
  readonly peer: Peer | null
  /** The body as a server of Node has it; null where it is a web stream. */
  readonly incoming: Readable | null
  route: Route | null
  caller: Caller | null
  rate: Rate | null
  call: Call | null
}

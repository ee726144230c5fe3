/** Requests as the manager sees them. */

/** What the manager looks at of a request, wherever that came in. A request of the web is one. */
export interface ApiRequest {
  readonly method: string
  readonly url: string
  /** By their names in small letters. */
  readonly headers: Pick<Headers, 'get' | 'has'>
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal
  /** Null for none, and where the body comes from a server of Node. */
  readonly body: ReadableStream<Uint8Array> | null
  /** The request as one of the web, without its body; left out where it is one. */
  readonly web?: () => Request
}

/** The request as one of the web. */
export function webRequest(request: ApiRequest): Request {
  return request.web === undefined ? (request as Request) : request.web()
}

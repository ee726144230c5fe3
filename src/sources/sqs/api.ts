/** The AWS SDK as Errand uses it: loaded when it is needed, each call with a deadline, errors in words. */
import type { SQS, SQSClientConfig } from '@aws-sdk/client-sqs'
import { ErrandError } from '../../core/errors.ts'
import { missingPeer } from '../../core/missing-peer.ts'

/** What `new SQSClient()` takes: region, credentials, endpoint and so on. Default: from the environment. */
export type ClientConfig = SQSClientConfig

/** How long one call may take, with the SDK's own repeats. */
const callMs = 20_000

interface CallOptions {
  /** Default `callMs`. */
  readonly withinMs?: number
  readonly signal?: AbortSignal
}

/** A client of the SDK. */
export class Api {
  readonly #client: SQS
  readonly #closed = new AbortController()

  private constructor(client: SQS) {
    this.#client = client
  }

  /** Loads the SDK and makes a client. Connects to nothing. Rejects with `missing-peer`. */
  static async open(config: ClientConfig): Promise<Api> {
    // Queues are reached where the client is told to look, not where their URLs point.
    const own = config.endpoint === undefined ? {} : { useQueueUrlAsEndpoint: false }
    const sdk = await import('@aws-sdk/client-sqs').catch((cause: unknown) => {
      throw missingPeer('errand/sqs', '@aws-sdk/client-sqs', cause)
    })
    return new Api(new sdk.SQS({ ...own, ...config }))
  }

  /** Makes one call. Rejects with `server-unavailable` or `server-refused`, and with the reason of the signal. */
  async call<T>(
    what: string,
    make: (client: SQS, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
    { withinMs = callMs, signal }: CallOptions = {},
  ): Promise<T> {
    const late = AbortSignal.timeout(withinMs)
    const all = [late, this.#closed.signal, ...(signal === undefined ? [] : [signal])]
    try {
      return await make(this.#client, { abortSignal: AbortSignal.any(all) })
    } catch (error) {
      signal?.throwIfAborted()
      if (this.#closed.signal.aborted) throw new ErrandError('closed', `${what}: closed.`)
      throw errorOf(what, late.aborted ? new Error(`no answer within ${withinMs} ms`) : error)
    }
  }

  close(): void {
    this.#closed.abort()
    this.#client.destroy()
  }
}

function errorOf(what: string, cause: unknown): ErrandError {
  const { name = 'Error', message = String(cause) } = (cause ?? {}) as Partial<Error>
  const status = (cause as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata
    ?.httpStatusCode
  const isRefused = status !== undefined && status >= 400 && status < 500
  return new ErrandError(
    isRefused ? 'server-refused' : 'server-unavailable',
    `${what}: ${name === 'Error' ? '' : `${name}: `}${message}`,
    { cause },
  )
}

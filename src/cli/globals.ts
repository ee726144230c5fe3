/** Options that every command takes. */
export interface Globals {
  readonly config?: string
  readonly store?: string
  readonly tokenFile?: string
  readonly json?: boolean
  readonly verbose?: boolean
  readonly logLevel?: string
  readonly logFormat?: 'pretty' | 'json'
}

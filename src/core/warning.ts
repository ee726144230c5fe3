/** What puts jobs at risk, and what to do about it. */
export interface Warning {
  readonly text: string
  readonly advice: string
}

/** What survives, by the settings of the server. */

export interface DurabilitySettings {
  /** `synchronous_commit`. */
  readonly synchronousCommit: string
  readonly fsync: boolean
}

/** Says in words what a commit survives; null is for a server that was not asked yet. */
export function durabilityOf(settings: DurabilitySettings | null): string {
  if (settings === null)
    return 'as synchronous_commit of the server says, which the first call learns'
  const { synchronousCommit, fsync } = settings
  const how = `synchronous_commit = ${synchronousCommit}`
  if (!fsync)
    return `survives a killed server; a power failure may destroy the database (fsync = off, ${how})`
  switch (synchronousCommit) {
    case 'off':
      return `survives a killed process; a crash of the server may take the last moments (${how})`
    case 'local':
    case 'on':
      return `survives a power failure of the server (${how})`
    default:
      return `survives a power failure of the server, and its loss if a synchronous standby is set up (${how})`
  }
}

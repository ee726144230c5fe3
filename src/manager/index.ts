/** `errand/manager`: the HTTP API of an app. */
export { manager, type Manager, type ManagerOptions, type ManagerStopOptions } from './manager.ts'
export {
  tokens,
  type NewToken,
  type TokenInfo,
  type TokenOptions,
  type Tokens,
} from './access/tokens.ts'
export type { AccessRule, Authorize, Granted } from './access/access.ts'
export type { Scope } from './caller.ts'
export { listen, type ManagerServer, type ServerLimits, type ServerOptions } from './server.ts'
export type { Managed } from './managed.ts'

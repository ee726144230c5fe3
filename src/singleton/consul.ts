/** `errand/consul`: locks and liveness of singletons in Consul. */
export { consulLiveness, type ConsulLivenessOptions } from './liveness/consul.ts'
export { consulLocks, type ConsulLocksOptions } from './locks/consul.ts'

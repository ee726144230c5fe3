/** `errand/nats`: jobs from the messages of NATS JetStream. */
export { nats, type NatsOptions } from './nats.ts'

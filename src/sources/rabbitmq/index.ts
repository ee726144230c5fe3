/** `errand/rabbitmq`: jobs from the messages of RabbitMQ, jobs to them, and their results back. */
export { rabbitmq, type RabbitmqOptions } from './rabbitmq.ts'
export {
  rabbitmqProducer,
  type RabbitmqProducer,
  type RabbitmqProducerOptions,
} from './producer.ts'
export type { SentJob, UnconfirmedJob } from '../sent-jobs.ts'
export { rabbitmqResults, type RabbitmqResultsOptions } from './results.ts'

/** `errand/sqs`: jobs from Amazon SQS and to it. */
export type { SqsSentJob } from './entries.ts'
export type { SentJob, UnconfirmedJob } from '../sent-jobs.ts'
export { sqsProducer, type SqsProducer, type SqsProducerOptions } from './producer.ts'
export { sqs, type SqsOptions } from './sqs.ts'

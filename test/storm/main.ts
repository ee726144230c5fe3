/**
 * A redelivery storm: `npm run storm -- --broker rabbitmq [--messages 20000] [--life 1000] [--spread 40000]`. `life` says
 * after how many milliseconds each consumer is killed, `spread` over how many the messages are sent. Exits with 0 when
 * each message became exactly one job, 1 when not.
 */
import { parseArgs } from 'node:util'
import { prove } from './proof.ts'
import { start as startRabbitmq } from './rabbitmq.ts'
import { start as startSqs } from './sqs.ts'

const brokers = { rabbitmq: startRabbitmq, sqs: startSqs }

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'sqs' },
    messages: { type: 'string', default: '20000' },
    life: { type: 'string', default: '1000' },
    spread: { type: 'string', default: '40000' },
  },
})
if (!Object.hasOwn(brokers, values.broker)) {
  console.error(
    `No broker is called ${values.broker}; there are ${Object.keys(brokers).join(', ')}.`,
  )
  process.exit(2)
}
const broker = await brokers[values.broker as keyof typeof brokers]()
try {
  const messages = Number(values.messages)
  const { kills, known, ms, wrong } = await prove(broker, {
    messages,
    lifeMs: Number(values.life),
    spreadMs: Number(values.spread),
  })
  const seconds = Math.round(ms / 1_000)
  console.log(
    `${values.broker}: ${messages} messages, ${kills} consumers killed, ${known} came again, ${seconds} s`,
  )
  for (const one of wrong) console.log(`WRONG: ${one}`)
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  await broker.stop()
}

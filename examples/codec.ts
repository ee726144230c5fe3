/** A codec encodes what a store keeps: here gzip for the whole app, and AES-GCM for one task. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { createErrand, task, type Codec } from 'errand'
import { memory } from 'errand/memory'

const compressed: Codec = {
  name: 'gzip',
  encode: (text) => gzipSync(text).toString('base64'),
  decode: (text) => gunzipSync(Buffer.from(text, 'base64')).toString(),
}

/** Encrypts and authenticates: a text that was changed, or written with another key, does not decode. */
function encrypted(key: Buffer): Codec {
  return {
    name: 'aes-256-gcm',
    encode(text) {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, iv)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64')
    },
    decode(text) {
      const bytes = Buffer.from(text, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
      decipher.setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString()
    },
  }
}

const count = task({
  name: 'count',
  run: ({ text }: { text: string }) => text.length,
})

const secret = task({
  name: 'secret',
  codec: encrypted(randomBytes(32)),
  run: ({ card }: { card: string }) => `charged …${card.slice(-4)}`,
})

const store = memory()
const errand = createErrand({ store, tasks: [count, secret], codec: compressed })
await errand.worker().start()

const long = await errand.enqueue(count, { text: 'errand '.repeat(1_000) })
console.log('count:', await long.result())

const payment = await errand.enqueue(secret, { card: '4111 1111 1111 1111' })
console.log('secret:', await payment.result())

// The store holds what the codec made of it; whoever has the codec reads it.
const [stored] = await store.get([payment.id])
console.log('stored readable:', stored?.input.includes('4111'), '- codec:', stored?.codec)
console.log('decoded:', (await errand.jobs.get(payment.id))?.input)

await errand.close()

// Output:
// count: 7000
// secret: charged …1111
// stored readable: false - codec: aes-256-gcm
// decoded: { card: '4111 1111 1111 1111' }

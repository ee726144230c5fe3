import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Codec } from '../core/codec.ts'
import { task } from '../core/task.ts'
import { createErrand } from '../errand.ts'
import { memory } from '../stores/memory/index.ts'
import { claimByHand, endByHand } from '../testing/by-hand.ts'

const gzip: Codec = {
  name: 'gzip',
  encode: (text) => gzipSync(text).toString('base64'),
  decode: (text) => gunzipSync(Buffer.from(text, 'base64')).toString(),
}

function aesGcm(key: Buffer): Codec {
  return {
    name: 'aes-gcm-1',
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

const secret = task<{ word: string }>({ name: 'secret' })
const input = { word: 'hunter2 '.repeat(200) }

describe('codecs', () => {
  it('the app’s codec encodes what the store sees, and records show it decoded', async () => {
    for (const codec of [gzip, aesGcm(randomBytes(32))]) {
      const store = memory()
      const errand = createErrand({ store, codec })
      const { id } = await errand.enqueue(secret, input)
      const [stored] = await store.get([id])
      assert.equal(stored?.codec, codec.name)
      assert.doesNotMatch(stored.input, /hunter2/)
      assert.deepEqual((await errand.jobs.get(id))?.input, input)
    }
  })

  it('a task’s codec goes before the app’s, and a task that is only enqueued brings its codec along', async () => {
    const store = memory()
    const own = task<{ word: string }>({ name: 'own', codec: gzip })
    const errand = createErrand({ store, codec: aesGcm(randomBytes(32)) })
    const { id } = await errand.enqueue(own, input)
    const record = await errand.jobs.get(id)
    assert.equal(record?.codec, 'gzip')
    assert.deepEqual(record.input, input)
  })

  it('jobs of an older codec are read while it is listed', async () => {
    const store = memory()
    const { id } = await createErrand({ store, codec: gzip }).enqueue(secret, input)
    const later = createErrand({ store, codec: aesGcm(randomBytes(32)), codecs: [gzip] })
    assert.deepEqual((await later.jobs.get(id))?.input, input)
  })

  it('a payload that cannot be decoded is undefined in records and never an error', async () => {
    const store = memory()
    const { id } = await createErrand({ store, codec: aesGcm(randomBytes(32)) }).enqueue(
      secret,
      input,
    )
    const unknown = await createErrand({ store }).jobs.get(id)
    const wrongKey = await createErrand({ store, codec: aesGcm(randomBytes(32)) }).jobs.get(id)
    assert.equal(unknown?.input, undefined)
    assert.equal(unknown?.task, 'secret')
    assert.equal(wrongKey?.input, undefined)
    assert.equal((await createErrand({ store }).jobs.list()).jobs.length, 1)
  })

  it('a result that cannot be decoded rejects with the reason', async () => {
    const store = memory()
    const { id } = await createErrand({ store, codec: gzip }).enqueue(secret, input)
    const [job] = await claimByHand(store)
    await endByHand(store, job!, { output: 'not gzip' })
    await assert.rejects(createErrand({ store }).jobs.result(id), { code: 'unknown-codec' })
    await assert.rejects(createErrand({ store, codec: gzip }).jobs.result(id))
  })

  it('the size that counts is the encoded one', async () => {
    const errand = createErrand({ store: memory(), codec: gzip })
    assert.equal(
      (await errand.enqueue(secret, { word: 'x'.repeat(5_000_000) })).inserted,
      'created',
    )
    await assert.rejects(
      errand.enqueue(secret, { word: randomBytes(1_000_000).toString('base64') }),
      { code: 'too-large' },
    )
  })
})

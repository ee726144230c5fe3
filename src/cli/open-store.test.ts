import assert from 'node:assert/strict'
import test from 'node:test'
import { isErrandError } from '../core/errors.ts'
import { openStore } from './open-store.ts'

const opened: Readonly<Record<string, readonly [kind: string, location: RegExp]>> = {
  'sqlite:jobs.db': ['sqlite', /jobs\.db$/],
  'SQLITE:jobs.db?durability=power': ['sqlite', /jobs\.db$/],
  'postgres://me:secret@db.example/app': [
    'postgres',
    /^postgres:\/\/db\.example\/app, schema errand$/,
  ],
  'postgresql://db.example/app?schema=jobs&prepare=false&listen=false&sslmode=require': [
    'postgres',
    /schema jobs$/,
  ],
  'postgres://pooler/app?listen=postgres://db.example/app': ['postgres', /^postgres:\/\/pooler/],
  'redis://:secret@cache.example:6380/2?prefix=jobs': ['redis', /^cache\.example:6380\/2$/],
  'redis://one:7000,two:7001,three:7002?partitions=8': [
    'redis',
    /^one:7000, two:7001, three:7002$/,
  ],
  'https://manager.example/jobs/': ['http', /^https:\/\/manager\.example\/jobs$/],
}

for (const [url, [kind, location]] of Object.entries(opened)) {
  test(`${url} names a store`, async () => {
    const store = await openStore(url)
    const { info } = store
    await store.close()
    assert.equal(info.kind, kind)
    assert.match(info.location, location)
    assert.doesNotMatch(info.location, /secret/)
  })
}

const refused: Readonly<Record<string, RegExp>> = {
  'jobs.db': /did you mean sqlite:jobs\.db\?/,
  'C:\\jobs.db': /did you mean sqlite:C:\\jobs\.db\?/,
  'sqlite:': /Name the file/,
  'sqlite:jobs.db?durabilty=power': /no parameter durabilty; known: durability/,
  'sqlite:jobs.db?durability=none': /durability is process or power/,
  'postgre://me:secret@db/app': /Did you mean postgres:\/\/…@db\/app\?/,
  'postgres://me:secret@db:port/app': /Write it as postgres:/,
  'postgres://db/app?prepare=no': /prepare is true or false/,
  'postgres://db/app?schema=Jobs': /plain name in lower case/,
  'redis://db?partitions=many': /whole number from 1 to 64/,
  'redis://me:secret@db?prefx=jobs': /no parameter prefx; known: prefix, partitions/,
  'postgres://me:se/secret@db/app': /Percent-encode.*@ as %40/,
  'postgres://me:x#secret@db/app': /Percent-encode/,
  'postgres://me:se@secret@db:99999/app': /Percent-encode/,
  'postgres://db/app?password=secret&prepare=no': /prepare is true or false/,
  'redis://:x/secret@db': /Percent-encode/,
  'redis://:x?secret@db': /Percent-encode/,
  'redis://:secret@db/shop': /number of a database/,
  'mysql://me:x/secret@db/app': /postgres:\/\/user@host\/database/,
  'https://me:secret@manager.example': /put a token in ERRAND_TOKEN/,
  'https://manager.example?token=secret': /no parameters/,
  'mysql://db/app': /Stores are sqlite:/,
}

for (const [url, says] of Object.entries(refused)) {
  test(`${url} is refused with a word on what to do`, async () => {
    await assert.rejects(openStore(url), (error) => {
      assert.ok(isErrandError(error, 'invalid-option'))
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  })
}

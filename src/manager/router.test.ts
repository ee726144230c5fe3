import assert from 'node:assert/strict'
import test from 'node:test'
import { Router } from './router.ts'

const router = new Router(
  [
    'GET /v1/jobs',
    'POST /v1/jobs',
    'GET /v1/jobs/{id}',
    'DELETE /v1/jobs/{id}',
    'POST /v1/jobs/cancel',
    'GET /v1/{kind}/all/{name}',
    'GET /v1/jobs/{id}/logs',
  ].map((route) => {
    const [method = '', path = ''] = route.split(' ')
    return { method, path }
  }),
)

function found(method: string, path: string): unknown {
  const one = router.find(method, path)
  return one === null ? null : [one.value.path, one.params]
}

test('a parameter is one segment, decoded; what cannot be decoded is taken as it is', () => {
  assert.deepEqual(found('GET', '/v1/jobs/a'), ['/v1/jobs/{id}', { id: 'a' }])
  assert.deepEqual(found('GET', '/v1/jobs/a%2Fb%20c'), ['/v1/jobs/{id}', { id: 'a/b c' }])
  assert.deepEqual(found('GET', '/v1/jobs/a%252F'), ['/v1/jobs/{id}', { id: 'a%2F' }])
  assert.deepEqual(found('GET', '/v1/jobs/%E0%A4%A'), ['/v1/jobs/{id}', { id: '%E0%A4%A' }])
  assert.deepEqual(found('GET', '/v1/%6Aobs'), ['/v1/jobs', {}])
  for (const path of ['/v1/jobs/', '/v1/jobs/a/', '/v1/jobs/a/b', '//v1/jobs', '/V1/jobs', '/', ''])
    assert.equal(found('GET', path), null, path)
  assert.equal(found('GET', '/v1/constructor'), null)
})

test('a plain segment wins over a parameter, and gives way where it leads nowhere', () => {
  assert.deepEqual(found('POST', '/v1/jobs/cancel'), ['/v1/jobs/cancel', {}])
  assert.deepEqual(found('GET', '/v1/jobs/cancel'), ['/v1/jobs/{id}', { id: 'cancel' }])
  const both = { kind: 'jobs', name: 'x' }
  assert.deepEqual(found('GET', '/v1/jobs/all/x'), ['/v1/{kind}/all/{name}', both])
  assert.deepEqual(found('GET', '/v1/jobs/all/logs'), ['/v1/jobs/{id}/logs', { id: 'all' }])
  assert.deepEqual(found('GET', '/v1/queues/all/logs'), [
    '/v1/{kind}/all/{name}',
    { kind: 'queues', name: 'logs' },
  ])
  assert.deepEqual(found('GET', '/v1/jobs/a/logs'), ['/v1/jobs/{id}/logs', { id: 'a' }])
})

test('a path names the methods that it takes, and is found alike however often it is asked for', () => {
  assert.deepEqual(router.methodsOf('/v1/jobs'), ['GET', 'POST'])
  assert.deepEqual(router.methodsOf('/v1/jobs/a'), ['GET', 'DELETE'])
  assert.deepEqual(router.methodsOf('/v2'), [])
  for (let n = 0; n < 2_500; n++)
    assert.deepEqual(router.find('GET', `/v1/jobs/${n}`)?.params, { id: String(n) })
  assert.deepEqual(found('DELETE', '/v1/jobs/7'), ['/v1/jobs/{id}', { id: '7' }])
})

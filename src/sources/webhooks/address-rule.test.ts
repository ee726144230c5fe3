import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import { readAddressRule } from './address-rule.ts'

/** Addresses, one after another. */
function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}

const special = words(`
  0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1
  127.255.255.255 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.7 192.88.99.1
  192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9 224.0.0.1 239.255.255.255
  240.0.0.1 255.255.255.255 168.63.129.16 100.100.100.200 :: ::1 ::7f00:1 fc00::1 fd00:ec2::254
  fe80::1 fe80::1%eth0 fec0::1 ff02::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1
  5f00::1 ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:a00:1 ::ffff:169.254.169.254
  64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 ::ffff:0:127.0.0.1 localhost 1.2.3 ::g
`)
const open = words(`
  1.1.1.1 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
  169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0
  198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2001:4860:4860::8888 2003::1
  3ffe::1 ::ffff:1.1.1.1 ::ffff:101:101 64:ff9b::1.1.1.1 64:ff9b::808:808
`)

describe('addresses of webhooks', () => {
  it('are those of the public internet', () => {
    const mayReach = readAddressRule([], 'allow')
    assert.deepEqual(
      ['', ...special].filter((address) => mayReach(address)),
      [],
    )
    assert.deepEqual(
      open.filter((address) => !mayReach(address)),
      [],
    )
  })

  it('are also those that are allowed, however they are written', () => {
    const mayReach = readAddressRule(['10.1.0.0/16', '127.0.0.1', 'fd00::/8', '::1'], 'allow')
    const reached = ['10.1.0.1', '10.2.0.1', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', '127.0.0.1']
    reached.push('127.0.0.2', '::ffff:127.0.0.1', 'fd12::1', 'fe80::1', '::1', '::2', '8.8.8.8')
    assert.deepEqual(
      reached.filter((address) => !mayReach(address)),
      ['10.2.0.1', '127.0.0.2', 'fe80::1', '::2'],
    )
    assert.ok(readAddressRule(['0.0.0.0/0'], 'allow')('127.0.0.1'))
  })

  it('are refused in words where they are none', () => {
    for (const range of [
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0/8',
      'fd00::/129',
      'a',
      '1.1.1.1/8/8',
      7,
    ])
      assert.throws(
        () => readAddressRule(['::1', range as string], 'webhook().allow'),
        (error) => {
          assert.ok(isErrandError(error, 'invalid-option'), String(range))
          assert.match(error.message, /^webhook\(\)\.allow\[1\] must be an address or a range/)
          return true
        },
      )
  })
})

/**
 * Which addresses a request may go to: those of the public internet, and what the configuration allows beside. The ranges are
 * those of the IANA registries of special-purpose addresses, and of addresses that clouds keep for themselves.
 */
import { BlockList, isIP, isIPv4 } from 'node:net'
import { readList, refuseValue } from '../../core/read.ts'

/** Decides by the address, as text without brackets. What is no address may not be reached. */
export type AddressRule = (address: string) => boolean

const specialV4: readonly (readonly [from: string, bits: number])[] = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // behind a carrier's NAT
  ['127.0.0.0', 8], // loopback
  ['168.63.129.16', 32], // a cloud's own service
  ['169.254.0.0', 16], // link-local, where metadata services are
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // relays of 6to4
  ['192.168.0.0', 16], // private
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and broadcast
]

/** Within 2000::/3, the only range of IPv6 that is public. */
const specialV6: readonly (readonly [from: string, bits: number])[] = [
  ['2001::', 23], // protocol assignments, Teredo
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4, which holds an IPv4 address
  ['3fff::', 20], // documentation
]

const special = new BlockList()
for (const [from, bits] of specialV4) special.addSubnet(from, bits, 'ipv4')
for (const [from, bits] of specialV6) special.addSubnet(from, bits, 'ipv6')
const publicV6 = new BlockList()
publicV6.addSubnet('2000::', 3, 'ipv6')

/** Reads the addresses and ranges that are allowed beside public ones. Throws `invalid-option`, naming `where`. */
export function readAddressRule(allow: readonly string[], where: string): AddressRule {
  const allowed = new BlockList()
  for (const [index, one] of readList(allow, where, 'addresses').entries())
    addRange(allowed, one, `${where}[${index}]`)
  return (given) => {
    const address = innermost(given.replace(/%.*$/s, ''))
    const family = isIP(address)
    if (family === 0) return false
    if (family === 4) return allowed.check(address) || !special.check(address)
    if (allowed.check(address, 'ipv6')) return true
    return publicV6.check(address, 'ipv6') && !special.check(address, 'ipv6')
  }
}

function addRange(list: BlockList, range: unknown, where: string): void {
  const [address = '', bits, ...rest] = typeof range === 'string' ? range.split('/') : []
  const family = isIP(address)
  const width = family === 4 ? 32 : 128
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN
  if (family === 0 || rest.length > 0 || !(length <= width))
    refuseValue(where, "an address or a range such as '10.0.0.0/8' or 'fd00::/8'", range)
  list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
}

/** The IPv4 address that one of IPv6 stands for: mapped (`::ffff:0:0/96`) or behind NAT64 (`64:ff9b::/96`); else itself. */
function innermost(address: string): string {
  if (isIP(address) !== 6) return address
  const groups = groupsOf(address)
  const head = groups
    .slice(0, 6)
    .map((group) => group.toString(16))
    .join(':')
  if (head !== '0:0:0:0:0:ffff' && head !== '64:ff9b:0:0:0:0') return address
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight numbers of an address of IPv6. */
function groupsOf(address: string): readonly number[] {
  const [left = [], right = []] = address.split('::').map((half) =>
    half
      .split(':')
      .filter((part) => part !== '')
      .flatMap(numbersOf),
  )
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}

function numbersOf(part: string): readonly number[] {
  if (!isIPv4(part)) return [Number.parseInt(part, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
  return [(a << 8) | b, (c << 8) | d]
}

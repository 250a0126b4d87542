// `hosts` and `resolv.conf` come from the host. They are parsed into values and written anew, so that
// no option, comment or odd byte of the host reaches the resolver inside (docs/launch.md).

const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/
const MAX_LINES = 512
const MAX_NAMESERVERS = 3
const MAX_SEARCH = 32

const LOOPBACK = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback']
const LOOPBACK_NAME =
  /^(?:localhost(?:\.localdomain)?|ip6-(?:localhost|loopback)|.*\.localhost)\.?$/i

/**
 * Renders `/etc/hosts`: the loopback lines, then the host's lines that are an address and names. Names
 * of the loopback are not the host's to give: programs trust `localhost` to be the machine itself.
 */
export function renderHosts(text: string | undefined, hostname: string): string {
  const lines: string[] = []
  for (const words of wordsOf(text ?? '')) {
    const [address = '', ...names] = words
    if (!isAddress(address) || !names.every(isHostName)) continue
    const given = names.filter((name) => !LOOPBACK_NAME.test(name))
    if (given.length > 0) lines.push(`${address}\t${given.join(' ')}`)
  }
  if (lines.length === 0) lines.push(`127.0.1.1\t${hostname}`)
  return `${[...LOOPBACK, ...lines].join('\n')}\n`
}

/** Renders `/etc/resolv.conf`: up to three nameservers, the search list, and the `ndots` option. */
export function renderResolvConf(text: string | undefined): string {
  const servers: string[] = []
  let search: string[] = []
  let ndots: string | undefined
  for (const [keyword, ...values] of wordsOf(text ?? '')) {
    const [value = ''] = values
    if (keyword === 'nameserver' && isAddress(value) && servers.length < MAX_NAMESERVERS) {
      servers.push(value)
    } else if (keyword === 'search' || keyword === 'domain') {
      search = values.filter(isHostName).slice(0, MAX_SEARCH)
    } else if (keyword === 'options') {
      ndots = values.find((option) => /^ndots:(\d|1[0-5])$/.test(option)) ?? ndots
    }
  }
  const lines = servers.map((server) => `nameserver ${server}`)
  if (search.length > 0) lines.push(`search ${search.join(' ')}`)
  if (ndots !== undefined) lines.push(`options ${ndots}`)
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

/** True for a host name of up to 253 characters (RFC 1123, and `_`, which DNS names carry in practice). */
export function isHostName(name: string): boolean {
  const bare = name.endsWith('.') && name.length > 1 ? name.slice(0, -1) : name
  return bare.length <= 253 && bare.split('.').every((label) => LABEL.test(label))
}

/** True for an IPv4 or IPv6 address in text. Zones (`%eth0`) are refused. */
export function isAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(text)
}

function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return (
    parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
  )
}

function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2 || !text.includes(':')) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1)
  const mapped = last?.includes('.') === true && !text.endsWith('::')
  if (mapped && !isIpv4(last ?? '')) return false
  const hex = mapped ? groups.slice(0, -1) : groups
  if (!hex.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false
  const count = hex.length + (mapped ? 2 : 0)
  return halves.length === 2 ? count < 8 : count === 8
}

function wordsOf(text: string): string[][] {
  return text
    .split('\n', MAX_LINES)
    .map((line) => line.replace(/[#;].*$/, '').trim())
    .filter((line) => line !== '')
    .map((line) => line.split(/[ \t]+/))
}

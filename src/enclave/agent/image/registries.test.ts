import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { parseReference } from '#lib/oci'
import { NO_REGISTRIES, parseRegistries } from './registries.ts'

const endpoints = (document: string, image: string) =>
  parseRegistries(utf8(document)).endpoints(parseReference(image))
const places = (document: string, image: string) =>
  endpoints(document, image).map(({ host, repository }) => `${host}/${repository}`)

test('without configuration a registry is reached under its own name, over TLS', () => {
  const [found] = NO_REGISTRIES.endpoints(parseReference('registry.example/team/app:1'))
  assert.deepEqual(found, {
    host: 'registry.example',
    repository: 'team/app',
    plainHttp: false,
    ca: undefined,
    tokenHosts: [],
    privateAddresses: false,
  })
  assert.deepEqual(NO_REGISTRIES.endpoints(parseReference('alpine'))[0]?.tokenHosts, [
    'auth.docker.io',
  ])
})

test('a loopback registry speaks plain HTTP by convention', () => {
  assert.equal(NO_REGISTRIES.endpoints(parseReference('127.0.0.1:5000/a:1'))[0]?.plainHttp, true)
  assert.equal(NO_REGISTRIES.endpoints(parseReference('localhost:5000/a:1'))[0]?.plainHttp, true)
})

test('the longest prefix wins, at the boundary of a component', () => {
  const document = `
[[registry]]
prefix = "registry.example"
location = "short.example"
[[registry]]
prefix = "registry.example/team"
location = "long.example/x"
`
  assert.deepEqual(places(document, 'registry.example/team/app:1'), ['long.example/x/app'])
  assert.deepEqual(places(document, 'registry.example/teamwork/app:1'), [
    'short.example/teamwork/app',
  ])
  assert.deepEqual(places(document, 'other.example/team/app:1'), ['other.example/team/app'])
})

test('mirrors come first, each with CAs and insecure of its own', () => {
  const found = endpoints(
    `
[[registry]]
prefix = "registry.example"
ca = ["-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n"]
token-hosts = ["auth.example"]
[[registry.mirror]]
location = "mirror.example/cache"
insecure = true
private-addresses = true
`,
    'registry.example/team/app:1',
  )
  assert.deepEqual(
    found.map(({ host, repository, plainHttp, tokenHosts }) => [
      host,
      repository,
      plainHttp,
      tokenHosts,
    ]),
    [
      ['mirror.example', 'cache/team/app', true, []],
      ['registry.example', 'team/app', false, ['auth.example']],
    ],
  )
  assert.equal(found[1]?.ca?.length, 1)
  assert.equal(found[0]?.ca, undefined)
  assert.deepEqual(
    found.map(({ privateAddresses }) => privateAddresses),
    [true, false],
  )
})

test('a blocked registry is refused', () => {
  const document = '[[registry]]\nprefix = "registry.example/bad"\nblocked = true\n'
  assert.throws(() => endpoints(document, 'registry.example/bad/app:1'), {
    code: 'REGISTRY_BLOCKED',
  })
  assert.equal(endpoints(document, 'registry.example/good/app:1').length, 1)
})

test('what is not understood is refused, not ignored', () => {
  for (const bad of [
    'registry = 1',
    '[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true',
    '[[registry]]\nlocation = "http://a.example"',
    '[[registry]]\nlocation = "a.example"\nca = ["/etc/ca.pem"]',
    '[[registry]]\nlocation = "a.example"\ntoken-hosts = ["https://x"]',
    '[[registry]]\n[registry',
    'aliases = {}',
  ]) {
    assert.throws(() => parseRegistries(utf8(bad)), { code: 'REGISTRIES_INVALID' }, bad)
  }
  parseRegistries(utf8('unqualified-search-registries = ["docker.io"]'))
})

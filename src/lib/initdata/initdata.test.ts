import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { toHex, utf8 } from '#lib/bytes'
import {
  envelopeDigest,
  formatResourceUri,
  InitDataError,
  initDataDigest,
  MAX_INIT_DATA,
  parseEnvelope,
  parseInitData,
  parseResourceUri,
  serializeInitData,
} from './index.ts'

const PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
const broker = { url: 'https://kbs.example:8443', pins: [PIN], namespace: 'acme' }
const document = serializeInitData({ broker })

const refused = (text: string, found: RegExp) =>
  assert.throws(
    () => parseInitData(text),
    (error) =>
      error instanceof InitDataError &&
      error.code === 'INIT_DATA_INVALID' &&
      found.test(error.message),
    text,
  )

test('parseInitData() reads back what serializeInitData() wrote, with the defaults filled in', () => {
  const read = parseInitData(utf8(document))
  assert.deepEqual(read.broker, broker)
  assert.equal(formatResourceUri(read.resources.imagePolicy), 'kbs:///acme/security-policy/default')
  assert.equal(formatResourceUri(read.resources.launchPolicy), 'kbs:///acme/launch-policy/default')
  assert.equal(formatResourceUri(read.resources.credentials), 'kbs:///acme/credential/default')
  assert.equal(
    formatResourceUri(read.resources.registries),
    'kbs:///acme/registry-configuration/default',
  )
  const named = { imagePolicy: { namespace: 'acme', type: 'security-policy', tag: 'strict' } }
  assert.equal(
    parseInitData(serializeInitData({ broker, resources: named })).resources.imagePolicy.tag,
    'strict',
  )
})

test('the worked example of the format page keeps its bytes and digest', () => {
  assert.equal(
    document,
    `version = "0.1.0"\nalgorithm = "sha256"\n\n[data]\n"enclave-cc.toml" = '''\n[broker]\nurl = "https://kbs.example:8443"\npins = ["${PIN}"]\nnamespace = "acme"\n'''\n`,
  )
  assert.equal(
    toHex(initDataDigest(document)),
    '03c690750b3597d45efe35b5c6ef65ef3e824a8ad5cf79236c0af105638c06f7',
  )
  assert.deepEqual(initDataDigest(document), envelopeDigest(document, 'sha256'))
})

test('parseInitData() refuses every member that it does not know', () => {
  refused(`extra = 1\n${document}`, /member extra/)
  refused(document.replace('[broker]', '[other]\nx = 1\n[broker]'), /member other/)
  refused(document.replace('[broker]', '[broker]\ninsecure = true'), /member insecure/)
  refused(
    document.replace(`namespace = "acme"\n`, `namespace = "acme"\n[resources]\nx = "y"\n`),
    /member x/,
  )
  refused(`${document}"aa.toml" = "x"\n`, /members of others/)
})

test('parseInitData() refuses a broker without TLS, without pins, or with anything after its origin', () => {
  refused(document.replace('https://', 'http://'), /broker.url/)
  refused(document.replace(':8443', ':8443/path'), /broker.url/)
  refused(document.replace('https://', 'https://user:pw@'), /broker.url/)
  refused(document.replace(PIN, ''), /broker.pins/)
  refused(document.replace(`"${PIN}"`, ''), /broker.pins is empty/)
  refused(document.replace(PIN, 'sha256/AAAA'), /broker.pins/)
})

test('parseInitData() refuses a namespace or resource that would reach another owner', () => {
  refused(document.replace('"acme"', '"acme/x"'), /one segment/)
  refused(document.replace('"acme"', '".."'), /one segment/)
  const moved = '[resources]\nimage-policy = "kbs:///other/security-policy/default"\n'
  refused(
    document.replace('namespace = "acme"\n', `namespace = "acme"\n${moved}`),
    /leaves the namespace/,
  )
})

test('parseInitData() refuses other algorithms, versions, sizes and broken TOML', () => {
  refused(document.replace('sha256"', 'sha384"'), /sha256/)
  refused(document.replace('0.1.0', '0.2.0'), /version/)
  refused(document.slice(0, 60), /reading init-data/)
  refused(`#${'x'.repeat(MAX_INIT_DATA)}\n${document}`, /more than/)
  assert.equal(parseEnvelope(document.replace('sha256"', 'sha384"')).algorithm, 'sha384')
})

test('parseResourceUri() takes the forms that other tools write and drops the host', () => {
  const name = { namespace: 'a', type: 'b', tag: 'c.1' }
  for (const uri of [
    'kbs:///a/b/c.1',
    'kbs+resource:///a/b/c.1',
    'kbs://evil.example:1/a/b/c.1',
    'kbs:////a/b/c.1',
  ]) {
    assert.deepEqual(parseResourceUri(uri), name, uri)
  }
})

test('parseResourceUri() refuses what is not three clean segments', () => {
  for (const uri of [
    'kbs:///a/b',
    'kbs:///a/b/c/d',
    'kbs:///a/../c',
    'kbs:///a/b/.c',
    'kbs:///a/b/c?x',
    'kbs:///a//c',
    'http:///a/b/c',
    'kbs:///a/b/c\n',
    'kbs:///a/b/c%2f',
  ]) {
    assert.throws(() => parseResourceUri(uri), InitDataError, uri)
  }
})

test('parseInitData() agrees with the vectors', () => {
  const folder = new URL('../../../test/vectors/init-data/', import.meta.url)
  assert.equal(readFileSync(new URL('basic.toml', folder), 'utf8'), document)
  for (const name of readdirSync(folder).filter((file) => file.startsWith('refuse-'))) {
    const bytes = readFileSync(new URL(name, folder))
    assert.throws(() => parseInitData(bytes), InitDataError, name)
  }
})

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fromHex, fromUtf8, toHex, utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { parseInitData } from '#lib/initdata'
import { array, type JsonObject, object } from '#lib/json'
import {
  type EnclaveManifest,
  mrEnclave,
  mrSigner,
  signedManifestBytes,
  signManifest,
} from '#lib/manifest'
import { commands } from '../../src/owner/kbs/commands.ts'
import { chainHash } from '../../src/owner/kbs/store/audit-chain.ts'
import { KbsWorld, open } from '../support/kbs-world.ts'

type Flags = Readonly<Record<string, string | boolean | readonly string[]>>

const world = await KbsWorld.start()
after(() => world[Symbol.asyncDispose]())
const at = (name: string) => join(world.dir, name)
const file = (name: string, text: string) => {
  writeFileSync(at(name), text)
  return at(name)
}

/** Runs one command in this process, against the broker of this world. */
async function kbs(
  words: string,
  operands: readonly string[] = [],
  flags: Flags = {},
  change: Partial<CommandContext> = {},
): Promise<Outcome> {
  const path = ['kbs', ...words.split(' ')]
  const command = commands.find((c) => c.path.join(' ') === path.join(' '))
  assert.ok(command, `there is a command ${path.join(' ')}`)
  const declared = (command.options ?? []).map(({ flags: f }) => /--([a-z-]+)/.exec(f)?.[1])
  for (const flag of Object.keys(flags)) assert.ok(declared.includes(flag), `--${flag} is declared`)
  const text = (flag: string) => (typeof flags[flag] === 'string' ? String(flags[flag]) : undefined)
  const input: CommandInput = {
    operands,
    text,
    flag: (flag) => flags[flag] === true,
    list: (flag) => (flags[flag] ?? []) as readonly string[],
  }
  const places = {
    root: '',
    state: '',
    kbsCa: undefined,
    initData: '',
    adminTokenFile: undefined,
  }
  const context: CommandContext = {
    places: { ...places, kbsData: world.dataDir, kbsUrl: text('kbs-url') ?? world.running.url },
    pool: { size: 0, linger: 0 },
    cache: { maxSize: 0 },
    env: {},
    signal: new AbortController().signal,
    json: false,
    quiet: true,
    verbose: false,
    program: { dist: '', node: '', version: 'test' },
    stdout: () => {},
    note: () => {},
    warn: () => {},
    log: () => {},
    progress: () => ({ update() {}, done() {}, fail() {} }),
    stdin: async () => utf8('from stdin'),
    ...change,
  }
  return command.run(context, input)
}

const list = (outcome: Outcome) => array(outcome.document, 'list').map((row) => object(row, 'row'))
const uri = 'kbs:///acme/note/cli'

test('resource set, get, list, history, rollback and delete', async () => {
  const set = await kbs('resource set', [uri, '-'])
  assert.deepEqual(Object.keys(set.document as object).sort(), [
    'size',
    'type',
    'updatedAt',
    'uri',
    'version',
  ])
  await kbs('resource set', [uri, file('two', 'two')])
  assert.equal(fromUtf8((await kbs('resource get', [uri])).bytes ?? utf8(''), 'b'), 'two')
  const old = await kbs('resource get', [uri], { 'version-number': '1' })
  assert.equal(fromUtf8(old.bytes ?? utf8(''), 'b'), 'from stdin')
  await kbs('resource get', [uri], { out: at('out') })
  assert.equal(readFileSync(at('out'), 'utf8'), 'two')
  assert.equal(statSync(at('out')).mode & 0o777, 0o600)
  await assert.rejects(kbs('resource get', [uri], { out: at('out') }), { code: 'OUTPUT_EXISTS' })
  await kbs('resource get', [uri], { out: at('out'), force: true })
  await assert.rejects(kbs('resource set', [uri, '-'], { create: true }), {
    code: 'RESOURCE_EXISTS',
  })
  assert.deepEqual(
    list(await kbs('resource list', ['kbs:///acme/'])).map((r) => r.uri),
    [uri],
  )
  assert.deepEqual(list(await kbs('resource list', ['kbs:///zzz'])), [])
  assert.equal(object((await kbs('resource rollback', [uri, '1'])).document, 'd').version, 3)
  assert.equal(list(await kbs('resource history', [uri])).length, 3)
  await kbs('resource delete', [uri])
  await assert.rejects(kbs('resource get', [uri]), { code: 'RESOURCE_NOT_FOUND' })
  await assert.rejects(kbs('resource set', ['kbs:///a/b', '-']), { code: 'RESOURCE_URI_INVALID' })
  await assert.rejects(kbs('resource set', [uri, at('missing')]), { code: 'INPUT_UNREADABLE' })
})

test('reference set --bundle registers the agent of the bundle, and an enclave of it is let in', async () => {
  const manifest: EnclaveManifest = {
    version: 1,
    program: 'agent',
    image: { sha256: '0'.repeat(64), size: 1 },
    entry: '/usr/bin/node',
    args: [],
    env: {},
    attributes: { debug: false },
    isvProdId: 1,
    isvSvn: 2,
    builtAt: 1,
    peers: { init: { mrEnclave: '1'.repeat(64) } },
  }
  const key = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 }).privateKey
  const signed = signManifest(manifest, key)
  mkdirSync(at('bundle'))
  writeFileSync(at('bundle/agent.json'), signedManifestBytes(signed))
  const set = await kbs('reference set', [], { bundle: at('bundle'), name: 'release-1' })
  assert.deepEqual(set.document, {
    name: 'release-1',
    program: 'agent',
    mrEnclave: toHex(mrEnclave(manifest)),
    mrSigner: toHex(mrSigner(signed.signer)),
    isvProdId: 1,
    minIsvSvn: 2,
  })
  const twice = { bundle: at('bundle'), mrenclave: 'aa' }
  await assert.rejects(kbs('reference set', [], twice), { code: 'USAGE' })

  await kbs('root add', [file('root.pem', world.platform.exportRoot())], { platform: 'simulated' })
  const identity = { mrEnclave: mrEnclave(manifest), mrSigner: mrSigner(signed.signer), isvSvn: 2 }
  await kbs('resource set', [uri, '-'])
  const { initData } = object((await kbs('init-data', [], { namespace: 'acme' })).document, 'd')
  const enclave = world.enclave({ secs: identity, initData: String(initData) })
  const { token, status } = await world.attest(enclave)
  assert.equal(status, 200)
  assert.equal(await open(enclave, await world.get('acme/note/cli', token)), 'from stdin')
})

test('an init manifest is not registered by reference set --bundle', async () => {
  const manifest: EnclaveManifest = {
    version: 1,
    program: 'init',
    image: { sha256: '0'.repeat(64), size: 1 },
    entry: '/usr/bin/node',
    args: [],
    env: {},
    attributes: { debug: false },
    isvProdId: 2,
    isvSvn: 1,
    builtAt: 1,
    peers: { agent: { mrSigner: '1'.repeat(64), isvProdId: 1, minIsvSvn: 1 } },
  }
  const key = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 }).privateKey
  mkdirSync(at('init-bundle'))
  writeFileSync(at('init-bundle/agent.json'), signedManifestBytes(signManifest(manifest, key)))
  await assert.rejects(kbs('reference set', [], { bundle: at('init-bundle') }), { code: 'USAGE' })
})

test('references and roots are listed and deleted', async () => {
  await kbs('reference set', [], { mrenclave: 'ab'.repeat(32) })
  const flags = {
    mrsigner: 'cd'.repeat(32),
    'isv-prod-id': '1',
    'min-isv-svn': '3',
    name: 'signer',
  }
  await kbs('reference set', [], flags)
  const names = list(await kbs('reference list')).map((r) => r.name)
  assert.deepEqual(names, ['agent-abababababab', 'release-1', 'signer'])
  await kbs('reference delete', ['signer'])
  await assert.rejects(kbs('reference delete', ['signer']), { code: 'REFERENCE_NOT_FOUND' })
  await assert.rejects(kbs('reference set'), { code: 'USAGE' })
  const alone = { mrsigner: 'cd'.repeat(32) }
  await assert.rejects(kbs('reference set', [], alone), { code: 'REFERENCE_INVALID' })
  const [root] = list(await kbs('root list'))
  assert.equal(root?.platform, 'simulated')
  const pem = file('root2.pem', world.platform.exportRoot())
  await assert.rejects(kbs('root add', [pem]), { code: 'USAGE' })
  await assert.rejects(kbs('root add', [pem], { platform: 'sgx' }), { code: 'ROOT_INVALID' })
  await kbs('root delete', [String(root?.id)])
  await assert.rejects(kbs('root delete', [String(root?.id)]), { code: 'ROOT_NOT_FOUND' })
})

test('a refused enclave is explained to the owner', async () => {
  const answer = await world.attest(world.enclave())
  const outcome = await kbs('explain', [String(answer.json.correlationId)])
  const record = object(outcome.document, 'record')
  assert.deepEqual(
    ['id', 'time', 'kind', 'decision', 'code', 'subject', 'claims', 'policyIds', 'next'].filter(
      (m) => !(m in record),
    ),
    [],
  )
  assert.match(
    outcome.text ?? '',
    /^appraise deny \[APPRAISE_ROOT_UNTRUSTED\].*\n[\s\S]*NOT root: another[\s\S]*next: if that platform is yours/,
  )
  await assert.rejects(kbs('explain', ['../status']), { code: 'DECISION_NOT_FOUND' })
})

test('policies are set, read back and asked', async () => {
  const request = file(
    'request.json',
    JSON.stringify({
      action: 'set-env',
      image: {
        registry: 'r',
        repository: 'a',
        tag: '',
        digest: 'd',
        signers: [],
        signed: true,
        encrypted: true,
        fullyEncrypted: true,
      },
      platform: 'simulated',
      containerId: 'c',
      name: 'LOG_LEVEL',
      value: 'debug',
    }),
  )
  assert.equal((await kbs('policy test', ['launch'], { request })).exitCode, 1)
  const text =
    '@id("log") permit (principal, action == Action::"set-env", resource) when { context.name == "LOG_LEVEL" };\n'
  const policy = file('launch.cedar', text)
  const asked = await kbs('policy test', ['launch'], { request, policy })
  assert.deepEqual([asked.exitCode, asked.text], [0, 'allow by log'])
  await kbs('policy set', ['launch', policy])
  assert.equal((await kbs('policy get', ['launch'])).text, text)
  assert.equal((await kbs('policy test', ['launch'], { request })).exitCode, 0)
  await assert.rejects(
    kbs('policy set', ['launch', file('bad.cedar', 'permit (')]),
    (error: { code: string; details: JsonObject }) => {
      assert.equal(error.code, 'POLICY_INVALID')
      assert.equal(object(array(error.details.problems, 'p')[0], 'p').line, 1)
      return true
    },
  )
  const bad = file('bad.json', '{"action":"set-env"}')
  await assert.rejects(kbs('policy test', ['launch'], { request: bad }), {
    code: 'KBS_REQUEST_INVALID',
  })
  await assert.rejects(kbs('policy set', ['other', policy]), { code: 'USAGE' })
})

test('init-data is the same from the data directory and over TLS', async () => {
  const { url } = world.running
  const remote = parseInitData((await kbs('init-data', [], { namespace: 'acme' })).text ?? '')
  assert.deepEqual(remote.broker, { url, pins: [world.pin], namespace: 'acme' })
  const places = { ...(await placesWith(join(world.dataDir, 'admin.token'))), kbsUrl: undefined }
  const local = await kbs('init-data', [], { namespace: 'acme' }, { places })
  assert.deepEqual(parseInitData(local.text ?? '').broker.pins, [world.pin])
  await assert.rejects(kbs('init-data', [], { namespace: 'a/b' }), { code: 'USAGE' })
  await assert.rejects(
    kbs('init-data', [], { namespace: 'acme', 'kbs-url': 'https://127.0.0.1:1' }),
    {
      code: 'KBS_UNREACHABLE',
    },
  )
})

test('the audit log is verified online, from a file, and against a head that was kept', async () => {
  const online = await kbs('audit verify')
  assert.equal(online.exitCode, 0, JSON.stringify(online.document))
  const exported = (await kbs('audit export')).text ?? ''
  const lines = exported.split('\n')
  const head = file(
    'head.json',
    JSON.stringify(object(JSON.parse(lines.at(-1) ?? ''), 'line').head),
  )
  const whole = file('audit.jsonl', exported)
  assert.equal((await kbs('audit verify', [whole], { head: [head] })).exitCode, 0)
  const cut = file('cut.jsonl', lines.slice(0, -2).join('\n'))
  const endless = await kbs('audit verify', [cut])
  assert.deepEqual([endless.exitCode, object(endless.document, 'd').firstBad], [1, 1])
  assert.match(endless.text ?? '', /no signed head/)
  const seen = await kbs('audit verify', [cut], { head: [head] })
  assert.deepEqual([seen.exitCode, object(seen.document, 'd').firstBad], [1, lines.length - 1])
  const edited = file('edited.jsonl', exported.replace('resource-set', 'resource-get'))
  assert.equal((await kbs('audit verify', [edited])).exitCode, 1)
  const entry = object(JSON.parse(lines.at(-2) ?? ''), 'entry')
  const text = `{"event":"resource-delete","seq":${lines.length}}`
  const hash = toHex(chainHash(fromHex(String(entry.hash), 'hash'), text))
  const added = [...lines.slice(0, -1), JSON.stringify({ seq: lines.length, text, hash })]
  const longer = file('longer.jsonl', [...added, lines.at(-1)].join('\n'))
  const seenLonger = await kbs('audit verify', [longer])
  assert.deepEqual(
    [seenLonger.exitCode, object(seenLonger.document, 'd').firstBad],
    [1, lines.length],
    'anybody can go on with a chain',
  )
  const notKey = { key: file('not.pem', 'x') }
  await assert.rejects(kbs('audit verify', [whole], notKey), { code: 'INPUT_UNREADABLE' })
  const foreign = { key: file('foreign.pem', foreignAuditKey()) }
  assert.equal((await kbs('audit verify', [whole], foreign)).exitCode, 1)
  const forged = readFileSync(head, 'utf8').replace(/"size":\d+/, '"size":1')
  const refused = await kbs('audit verify', [whole], { head: [file('forged.json', forged)] })
  assert.match(refused.text ?? '', /not signed by this broker/)
})

test('admin tokens are made with a role and an end, and a wrong one is told what to do', async () => {
  const made = await kbs('token create', [], { role: 'auditor', ttl: '1h' })
  const tokenFile = file('auditor.token', `${made.text}\n`)
  const places = { ...(await placesWith(tokenFile)) }
  const as = (words: string, operands: string[] = []) => kbs(words, operands, {}, { places })
  assert.equal(object((await as('status')).document, 's').version, 'test')
  await assert.rejects(as('resource set', [uri, '-']), { code: 'KBS_ADMIN_DENIED' })
  await assert.rejects(kbs('token create', [], { role: 'auditor', ttl: 'soon' }), { code: 'USAGE' })
  const wrong = { places: await placesWith(file('wrong.token', 'ecc-admin-x')) }
  await assert.rejects(kbs('status', [], {}, wrong), { code: 'KBS_ADMIN_DENIED' })
})

test('a resource that replaces a file is readable by its owner alone, whoever could before', async () => {
  const uri = 'kbs:///acme/note/private'
  await kbs('resource set', [uri, file('private.txt', 'secret')])
  const out = file('taken.txt', 'readable for all')
  chmodSync(out, 0o644)
  const link = at('link.txt')
  symlinkSync(out, link)
  await assert.rejects(kbs('resource get', [uri], { out }), { code: 'OUTPUT_EXISTS' })
  await kbs('resource get', [uri], { out: link, force: true })
  assert.equal(readFileSync(out, 'utf8'), 'readable for all', 'a link is not followed')
  assert.equal(readFileSync(link, 'utf8'), 'secret')
  await kbs('resource get', [uri], { out, force: true })
  assert.equal(statSync(out).mode & 0o777, 0o600)
  assert.equal(readFileSync(out, 'utf8'), 'secret')
})

test('the admin token is never sent in the clear to another machine', async () => {
  const plain = { ...(await placesWith(join(world.dataDir, 'admin.token'))) }
  for (const kbsUrl of ['http://kbs.example:8080', 'http://127.0.0.1.example:8080']) {
    await assert.rejects(kbs('status', [], {}, { places: { ...plain, kbsUrl } }), {
      code: 'KBS_TLS_UNTRUSTED',
      message: /plain HTTP/,
    })
  }
})

test('a broker with another certificate is not believed, and gets no token', async () => {
  await using other = await KbsWorld.start()
  await assert.rejects(kbs('status', [], { 'kbs-url': other.running.url }), {
    code: 'KBS_TLS_UNTRUSTED',
  })
  const namespace = { namespace: 'acme', 'kbs-url': other.running.url }
  await assert.rejects(kbs('init-data', [], namespace), { code: 'KBS_TLS_UNTRUSTED' })
  assert.equal(
    other.logged.some((line) => line.includes('refused')),
    false,
  )
})

test('init makes a broker that serve serves, until it is told to stop', async () => {
  const data = { 'data-dir': at('second') }
  const made = object((await kbs('init', [], { ...data, listen: '127.0.0.1:0' })).document, 'made')
  assert.deepEqual(Object.keys(made), ['dataDir', 'url', 'listen', 'ca', 'adminTokenFile', 'pin'])
  await assert.rejects(kbs('init', [], data), { code: 'KBS_INITIALISED' })
  const stop = new AbortController()
  const { promise, resolve } = Promise.withResolvers<string>()
  const served = kbs('serve', [], data, {
    signal: stop.signal,
    stdout: (line) => resolve(String(line)),
  })
  const line = object(JSON.parse(await promise), 'event')
  assert.equal(line.event, 'listening')
  await assert.rejects(kbs('serve', [], data), { code: 'KBS_RUNNING' })
  const taken = new URL(String(line.url)).host
  const third = { 'data-dir': at('third') }
  await kbs('init', [], { ...third, listen: taken })
  await assert.rejects(kbs('serve', [], third), { code: 'KBS_PORT_TAKEN' })
  const grace = { ...third, 'collateral-grace': '8' }
  await assert.rejects(kbs('serve', [], grace), { code: 'USAGE' })
  stop.abort()
  assert.deepEqual(await served, {})
  await assert.rejects(kbs('serve', [], { 'data-dir': at('nothing') }), {
    code: 'KBS_NOT_INITIALISED',
  })
})

function foreignAuditKey(): string {
  const { publicKey } = generateKeyPairSync('ed25519')
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

async function placesWith(adminTokenFile: string): Promise<CommandContext['places']> {
  const { dataDir: kbsData, running } = world
  return {
    root: '',
    state: '',
    kbsData,
    kbsUrl: running.url,
    kbsCa: undefined,
    initData: '',
    adminTokenFile,
  }
}

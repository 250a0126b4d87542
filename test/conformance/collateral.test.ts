// Collateral from a service to a broker, over real sockets and files: the commands, and a broker
// whose platforms send none.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  COLLATERAL_FILES,
  type CollateralSet,
  encodeChain,
  parseCollateral,
  parseQuote,
  signCollateralBundle,
} from '#lib/attest'
import { fromBase64, utf8 } from '#lib/bytes'
import type { Command, CommandContext, CommandInput } from '#lib/command'
import { type JsonObject, object } from '#lib/json'
import { splitPem } from '#lib/x509'
import {
  collateralExport,
  collateralFetch,
  collateralImport,
  quoteVerify,
} from '../../src/owner/attest/commands.ts'
import { CollateralCache } from '../../src/owner/kbs/collateral-cache.ts'
import { runBroker } from '../../src/owner/kbs/run.ts'
import { type Answer, KbsWorld } from '../support/kbs-world.ts'
import { startPccs } from '../support/pccs.ts'

const FMSPC = '53494D000000'

type Flags = Readonly<Record<string, string | true>>

async function run(command: Command, operand: string, flags: Flags = {}) {
  const input: CommandInput = {
    operands: [operand],
    text: (flag) => (typeof flags[flag] === 'string' ? flags[flag] : undefined),
    flag: (flag) => flags[flag] === true,
    list: () => [],
  }
  const context = { env: {}, signal: new AbortController().signal } as unknown as CommandContext
  const outcome = await command.run(context, input)
  return { ...outcome, document: outcome.document as Record<string, unknown> }
}

/** What an honest service would have for the simulated platform. */
async function setOf(world: KbsWorld, quote: Uint8Array): Promise<CollateralSet> {
  const collateral = parseCollateral(await world.platform.collateral())
  const chain = parseQuote(quote).certificationData
  const text = chain.at(-1) === 0 ? chain.subarray(0, -1) : chain
  const [, ...issuers] = splitPem(text, 'CERTIFICATE', 3)
  return { ...collateral, pckCrlIssuerChain: utf8(encodeChain(...issuers)) }
}

async function quoteOf(world: KbsWorld): Promise<Uint8Array> {
  const evidence = await world.enclave().evidence(new Uint8Array(64))
  return fromBase64(String(evidence.quote), 'quote')
}

async function writeSet(directory: string, set: CollateralSet): Promise<void> {
  await mkdir(directory, { recursive: true })
  for (const [part, name] of Object.entries(COLLATERAL_FILES)) {
    const bytes = set[part as keyof CollateralSet]
    if (bytes) await writeFile(join(directory, name), bytes)
  }
}

/** Starts the world's broker again, with a directory of collateral. */
async function serveWith(world: KbsWorld, collateral: string): Promise<void> {
  await world.running.close()
  world.running = await runBroker({
    dataDir: world.dataDir,
    version: 'test',
    collateral,
    log: () => {},
    now: Date.now,
  })
}

/** Attests with evidence whose collateral is left out. */
async function attestBare(world: KbsWorld): Promise<Answer> {
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(world.enclave(), nonce)
  const evidence = object(json['tee-evidence'], 'tee-evidence')
  const { collateral: _, ...primary } = object(evidence.primary_evidence, 'evidence')
  const bare: JsonObject = { ...evidence, primary_evidence: primary }
  const body = { ...json, 'tee-evidence': bare }
  return world.ask('POST', 'attest', { json: body, headers: { cookie } })
}

test('fetched over HTTP, verified, exported, imported elsewhere', async () => {
  await using world = await KbsWorld.start()
  const quote = await quoteOf(world)
  const pccs = startPccs([
    { tee: 'sgx', fmspc: FMSPC, ca: 'platform', set: await setOf(world, quote) },
  ])
  const server = createServer(async (request, response) => {
    const url = new URL(`${request.url}`, 'http://127.0.0.1')
    const headers = {}
    const answer = await pccs.transport({ method: 'GET', url, headers })
    response.writeHead(answer.status, answer.headers as Record<string, string>)
    for await (const chunk of answer.body) response.write(chunk)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const directory = join(world.dir, 'evidence')
    const root = join(world.dir, 'root.pem')
    await mkdir(directory)
    await writeFile(join(directory, 'quote.bin'), quote)
    await writeFile(root, world.platform.exportRoot())
    const pccsUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const anchor = { 'trust-anchor': root }
    const fetched = await run(collateralFetch, directory, { pccs: pccsUrl, ...anchor })
    assert.equal(fetched.document.fetched, true)
    assert.equal(fetched.document.platform, 'simulated')
    const again = await run(collateralFetch, directory, { pccs: pccsUrl, ...anchor })
    assert.equal(again.document.fetched, false)
    const verdict = await run(quoteVerify, directory, { at: 'now', ...anchor })
    assert.equal(verdict.exitCode, 0, `${verdict.text}`)
    // The anchor decides: Intel's root takes nothing of a simulated platform.
    await assert.rejects(run(collateralFetch, directory, { pccs: pccsUrl, force: true }), {
      code: 'ROOT_UNTRUSTED',
    })
    const pair = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    })
    const [key, pub, out] = ['k.pem', 'k.pub.pem', 'bundle.json'].map((n) => join(world.dir, n))
    await writeFile(`${key}`, pair.privateKey)
    await writeFile(`${pub}`, pair.publicKey)
    await run(collateralExport, directory, { key: `${key}`, out: `${out}`, ...anchor })
    await assert.rejects(
      run(collateralExport, directory, { key: `${key}`, out: `${out}`, ...anchor }),
      /there already/,
    )
    const cache = join(world.dir, 'cache')
    const imported = { key: `${pub}`, in: `${out}`, ...anchor }
    await run(collateralImport, cache, imported)
    const name = join(cache, `sgx-53494d000000-platform-${fetched.document.rootKey}`.slice(0, -48))
    const file = COLLATERAL_FILES.tcbInfo
    assert.deepEqual(await readFile(join(name, file)), await readFile(join(directory, file)))
    // A newer issue arrives; the old bundle does not bring the old one back.
    await world.platform.rehearse({ tcb: 'out-of-date' })
    const [served] = pccs.sets
    assert.ok(served)
    pccs.sets = [{ ...served, set: await setOf(world, quote) }]
    await run(collateralFetch, directory, { pccs: pccsUrl, force: true, ...anchor })
    for (const part of Object.values(COLLATERAL_FILES)) {
      if (part !== 'pckCertChain.pem') await cp(join(directory, part), join(name, part))
    }
    await assert.rejects(run(collateralImport, cache, imported), { code: 'COLLATERAL_ROLLBACK' })
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

test('a bundle with an older set in it is refused as a whole', async () => {
  await using world = await KbsWorld.start()
  const quote = await quoteOf(world)
  const older = await setOf(world, quote)
  await world.platform.rehearse({ tcb: 'out-of-date' })
  const newer = await setOf(world, quote)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const [key, file, root] = ['k.pem', 'bundle.json', 'root.pem'].map((n) => join(world.dir, n))
  await writeFile(`${key}`, publicKey)
  await writeFile(`${root}`, world.platform.exportRoot())
  const bundle = { createdAt: Date.now(), sets: [newer, older] }
  await writeFile(`${file}`, signCollateralBundle(bundle, privateKey))
  const cache = join(world.dir, 'cache')
  const flags = { key: `${key}`, in: `${file}`, 'trust-anchor': `${root}` }
  await assert.rejects(run(collateralImport, cache, flags), { code: 'COLLATERAL_ROLLBACK' })
  assert.equal(existsSync(cache), false, 'nothing was written')
})

test('sets of two roots are imported into one directory, and neither takes the place of the other', async () => {
  await using world = await KbsWorld.start()
  await using other = await KbsWorld.start()
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const [key, cache] = [join(world.dir, 'k.pem'), join(world.dir, 'cache')]
  await writeFile(key, publicKey)
  const bring = async (from: KbsWorld, set: CollateralSet) => {
    const [file, root] = [join(from.dir, 'bundle.json'), join(from.dir, 'root.pem')]
    await writeFile(root, from.platform.exportRoot())
    await writeFile(file, signCollateralBundle({ createdAt: Date.now(), sets: [set] }, privateKey))
    return run(collateralImport, cache, { key, in: file, 'trust-anchor': root })
  }
  const sets = [await setOf(world, await quoteOf(world)), await setOf(other, await quoteOf(other))]
  const [mine, theirs] = sets
  assert.ok(mine && theirs)
  await bring(world, mine)
  await bring(other, theirs)
  const names = (await readdir(cache)).sort()
  assert.equal(names.length, 2)
  for (const name of names) assert.match(name, /^sgx-53494d000000-platform-[0-9a-f]{16}$/)
  const kept = await Promise.all(
    names.map((name) => readFile(join(cache, name, COLLATERAL_FILES.tcbInfo), 'utf8')),
  )
  assert.deepEqual(kept.sort(), sets.map((set) => Buffer.from(set.tcbInfo).toString()).sort())
  for (const name of names) {
    const files = await readdir(join(cache, name))
    assert.deepEqual(
      files.filter((file) => file.startsWith('.')),
      [],
      'nothing temporary stays',
    )
  }
  // The name that versions before gave it, without a root: what it holds still counts.
  await world.platform.rehearse({ tcb: 'out-of-date' })
  await writeSet(join(cache, 'sgx-53494d000000-platform'), await setOf(world, await quoteOf(world)))
  await assert.rejects(bring(world, mine), { code: 'COLLATERAL_ROLLBACK' })
  await bring(other, theirs)
})

test('a broker verifies evidence without collateral from its directory, and from nowhere else', async () => {
  await using world = await KbsWorld.start()
  await world.trust()
  const refused = await attestBare(world)
  assert.equal(refused.status, 403)
  const cache = join(world.dir, 'cache')
  await writeSet(join(cache, 'any-name'), await setOf(world, await quoteOf(world)))
  await serveWith(world, cache)
  const accepted = await attestBare(world)
  assert.equal(accepted.status, 200, JSON.stringify(accepted.json))
  // A newer issue was seen since: what the directory holds is now old, also after a restart.
  await world.platform.rehearse({ tcb: 'out-of-date' })
  await world.platform.rehearse({ tcb: 'up-to-date' })
  assert.equal((await world.attest(world.enclave())).status, 200)
  assert.equal((await attestBare(world)).json.code, 'APPRAISE_COLLATERAL_ROLLBACK')
  await serveWith(world, cache)
  assert.equal((await attestBare(world)).json.code, 'APPRAISE_COLLATERAL_ROLLBACK')
})

test('numbers seen in collateral of the directory stay seen when the directory is gone', async () => {
  await using world = await KbsWorld.start()
  await world.trust()
  const evidence = await world.enclave().evidence(new Uint8Array(64))
  const old = evidence.collateral
  assert.ok(old)
  await world.platform.rehearse({ tcb: 'out-of-date' })
  await world.platform.rehearse({ tcb: 'up-to-date' })
  const cache = join(world.dir, 'cache')
  await writeSet(cache, await setOf(world, await quoteOf(world)))
  await serveWith(world, cache)
  assert.equal((await attestBare(world)).status, 200)
  await world.running.close()
  await world.serve()
  const enclave = world.enclave()
  const stale = {
    ...enclave,
    evidence: async (data: Uint8Array) => ({ ...(await enclave.evidence(data)), collateral: old }),
  }
  assert.equal((await world.attest(stale)).json.code, 'APPRAISE_COLLATERAL_ROLLBACK')
})

test('platforms of one family under two roots have their own collateral', async () => {
  await using world = await KbsWorld.start()
  await using other = await KbsWorld.start()
  await world.trust()
  await other.trust()
  const quotes = [await quoteOf(world), await quoteOf(other)] as const
  const sets = [await setOf(world, quotes[0]), await setOf(other, quotes[1])] as const
  const directory = join(world.dir, 'cache')
  await writeSet(join(directory, 'a'), sets[0])
  await writeSet(join(directory, 'b'), sets[1])
  const cache = await CollateralCache.open(directory)
  const roots = [...world.running.broker.roots, ...other.running.broker.roots]
  assert.deepEqual(cache.find(quotes[0], roots)?.tcbInfo, sets[0].tcbInfo)
  assert.deepEqual(cache.find(quotes[1], roots)?.tcbInfo, sets[1].tcbInfo)
})

test('of two sets for the same platforms the newer one is found, whatever its name', async () => {
  await using world = await KbsWorld.start()
  await world.trust()
  const quote = await quoteOf(world)
  const directory = join(world.dir, 'cache')
  await writeSet(join(directory, 'z'), await setOf(world, quote))
  // Made in the same second: the numbers of the issue tell them apart.
  await world.platform.rehearse({ tcb: 'out-of-date' })
  const newer = await setOf(world, quote)
  await writeSet(join(directory, 'a'), newer)
  const { roots } = world.running.broker
  const cache = await CollateralCache.open(directory)
  assert.deepEqual(cache.find(quote, roots)?.tcbInfo, newer.tcbInfo)
})

test('the directory is read again when it changed, and what is broken in it is left out', async () => {
  await using world = await KbsWorld.start()
  await world.trust()
  const quote = await quoteOf(world)
  const set = await setOf(world, quote)
  const directory = join(world.dir, 'cache')
  await mkdir(directory)
  const cache = await CollateralCache.open(directory)
  const { roots } = world.running.broker
  assert.equal(cache.find(quote, roots), undefined)
  await writeSet(join(directory, 'b'), set)
  await writeSet(join(directory, 'a'), { ...set, pckCrl: utf8('junk') })
  assert.equal(await cache.refresh(), true)
  assert.equal(cache.size, 2)
  assert.deepEqual(cache.find(quote, roots)?.tcbInfo, set.tcbInfo)
  assert.equal(cache.find(quote, []), undefined, 'no root, nothing to find')
  assert.equal(cache.find(utf8('no quote'), roots), undefined)
  assert.equal(await cache.refresh(), false)
  await assert.rejects(serveWith(world, join(world.dir, 'nowhere')), {
    code: 'KBS_COLLATERAL_UNREADABLE',
  })
  await world.serve()
})

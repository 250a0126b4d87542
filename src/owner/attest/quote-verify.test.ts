import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { collateralObject } from '#lib/attest'
import { toBase64 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { SGX_VECTORS, sgxCase } from '../../../test/support/sgx-vectors.ts'
import { quoteInspect, quoteVerify } from './commands.ts'

const CASE = 'sgx-00a067110000-jun25'
const DIRECTORY = join(SGX_VECTORS, CASE)
const AT = '2025-07-04T10:28:44Z'
const ALLOW = 'ConfigurationAndSWHardeningNeeded'

interface Document {
  readonly verified: boolean
  readonly accepted: boolean
  readonly code?: string
  readonly next?: string
  readonly status?: string
  readonly fmspc: string
}

function input(operand: string, flags: Readonly<Record<string, string | true>> = {}): CommandInput {
  return {
    operands: [operand],
    text: (flag) => (typeof flags[flag] === 'string' ? flags[flag] : undefined),
    flag: (flag) => flags[flag] === true,
    list: () => [],
  }
}

async function verify(
  operand: string,
  flags: Readonly<Record<string, string | true>> = {},
): Promise<Outcome & { readonly document: Document }> {
  const outcome = await quoteVerify.run({} as CommandContext, input(operand, { at: AT, ...flags }))
  return outcome as Outcome & { readonly document: Document }
}

async function copyOfCase(t: { after(cleanUp: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'quote-verify-'))
  t.after(() => rm(directory, { recursive: true }))
  await cp(DIRECTORY, directory, { recursive: true })
  return directory
}

test('quote verify says no to a genuine quote whose status was not allowed, and yes once it is', async () => {
  const no = await verify(DIRECTORY)
  assert.equal(no.exitCode, 1)
  assert.equal(no.document.verified, true)
  assert.equal(no.document.accepted, false)
  assert.equal(no.document.code, 'TCB_POLICY')
  assert.ok(no.document.next)
  assert.match(
    `${no.text}`,
    /FAIL tcb-status: ConfigurationAndSWHardeningNeeded, expected UpToDate/,
  )
  const yes = await verify(DIRECTORY, { 'allow-status': ALLOW })
  assert.equal(yes.exitCode, 0)
  assert.equal(yes.document.accepted, true)
  assert.equal(yes.document.code, undefined)
  assert.match(`${yes.text}`, /^accepted\n/)
})

test('the document of quote verify is JSON with all members of the contract', async () => {
  const { document } = await verify(DIRECTORY, { 'allow-status': ALLOW })
  const parsed = JSON.parse(JSON.stringify(document))
  for (const member of [
    'verified',
    'accepted',
    'advisoryIds',
    'debug',
    'mrEnclave',
    'mrSigner',
    'isvProdId',
    'isvSvn',
    'configId',
    'fmspc',
    'checks',
  ]) {
    assert.ok(member in parsed, member)
  }
  assert.equal(parsed.evidence, undefined)
})

test('quote verify refuses a directory without CRLs, TCB info or chains, by name', async (t) => {
  for (const [file, code] of [
    ['pckCrl.der', 'CRL_FORMAT'],
    ['rootCaCrl.der', 'CRL_FORMAT'],
    ['tcbInfo.json', 'TCB_INFO_FORMAT'],
    ['tcbInfoIssuerChain.pem', 'TCB_SIGNER_FORMAT'],
    ['qeIdentity.json', 'QE_IDENTITY_FORMAT'],
    ['qeIdentityIssuerChain.pem', 'TCB_SIGNER_FORMAT'],
  ] as const) {
    const directory = await copyOfCase(t)
    await rm(join(directory, file))
    const { document, exitCode } = await verify(directory, { 'allow-status': ALLOW })
    assert.equal(document.code, code, file)
    assert.equal(exitCode, 1)
  }
})

test('quote verify takes a quote alone with --collateral, and evidence JSON that carries both', async (t) => {
  const directory = await copyOfCase(t)
  const flags = { 'allow-status': ALLOW }
  const quote = join(DIRECTORY, 'quote.bin')
  assert.equal((await verify(quote, { ...flags, collateral: DIRECTORY })).exitCode, 0)
  assert.equal((await verify(quote, flags)).exitCode, 0)
  const source = sgxCase(CASE).input
  const evidence = {
    quote: toBase64(source.quote),
    collateral: collateralObject(source.collateral),
  }
  const file = join(directory, 'evidence.json')
  await writeFile(file, JSON.stringify(evidence))
  for (const name of ['pckCrl.der', 'tcbInfo.json']) await rm(join(directory, name))
  assert.equal((await verify(file, flags)).exitCode, 0)
})

test('quote verify takes another root only where it is named', async () => {
  const directory = join(SGX_VECTORS, 'testroot-sgx-tcbv2')
  const at = '2024-01-01T00:00:00Z'
  assert.equal((await verify(directory, { at })).document.code, 'ROOT_UNTRUSTED')
  const anchor = join(directory, 'testRootCa.der')
  const { document } = await verify(directory, { at, 'trust-anchor': anchor })
  assert.equal(document.verified, true)
  assert.equal(document.status, 'UpToDate')
})

test('quote verify refuses debug enclaves and old evaluation numbers unless told', async () => {
  const directory = join(SGX_VECTORS, 'sgx-00606a000000-occlum-debug-aug25')
  const flags = { at: '2025-08-30T05:09:06Z', 'allow-status': 'OutOfDate' }
  assert.equal((await verify(directory, flags)).document.code, 'DEBUG_NOT_ALLOWED')
  assert.equal((await verify(directory, { ...flags, 'allow-debug': true })).exitCode, 0)
  const number = { 'allow-status': ALLOW, 'min-tcb-evaluation': '18' }
  assert.equal((await verify(DIRECTORY, number)).document.code, 'TCB_EVAL_NUM_TOO_OLD')
})

test('quote verify takes expired collateral for the days that it is told, and shows that it did', async () => {
  // The collateral of this quote ends on 19 July.
  const late = { at: '2025-07-22T00:00:00Z', 'allow-status': ALLOW }
  assert.equal((await verify(DIRECTORY, late)).exitCode, 1)
  const short = await verify(DIRECTORY, { ...late, 'collateral-grace': '1' })
  assert.match(String(short.document.code), /_EXPIRED$/)
  const taken = await verify(DIRECTORY, { ...late, 'collateral-grace': '7' })
  assert.equal(taken.exitCode, 0, `${taken.text}`)
  assert.match(`${taken.text}`, /^ok {3}collateral-grace: expired 2025-07-/m)
})

test('quote verify refuses flags that it does not understand', async () => {
  for (const flags of [
    { at: 'tomorrow' },
    { at: '2025-07-04' },
    { at: '2025-02-30 10:00' },
    { 'allow-status': 'Revoked' },
    { 'allow-status': 'uptodate' },
    { 'min-tcb-evaluation': '-1' },
    { 'min-tcb-evaluation': '1e3' },
    { 'collateral-grace': '8' },
    { 'collateral-grace': '-1' },
  ]) {
    await assert.rejects(verify(DIRECTORY, flags), { code: 'USAGE' }, JSON.stringify(flags))
  }
  const without = quoteVerify.run({} as CommandContext, input(DIRECTORY))
  await assert.rejects(without, { code: 'USAGE', message: /--at/ })
})

test('quote verify and inspect say which input they cannot read', async (t) => {
  await assert.rejects(verify('/nonexistent/x'), {
    code: 'INPUT_UNREADABLE',
    message: /nonexistent/,
  })
  const directory = await copyOfCase(t)
  await rm(join(directory, 'quote.bin'))
  await assert.rejects(verify(directory), { code: 'INPUT_UNREADABLE', message: /quote\.bin/ })
  const big = join(directory, 'big')
  await writeFile(big, new Uint8Array(200_000))
  await assert.rejects(verify(big), { code: 'INPUT_UNREADABLE', message: /131072/ })
  const inspect = quoteInspect.run({} as CommandContext, input(join(directory, 'none')))
  await assert.rejects(inspect, { code: 'INPUT_UNREADABLE' })
})

test('quote inspect shows a quote that no verifier would accept', async (t) => {
  const directory = await copyOfCase(t)
  const file = join(directory, 'quote.bin')
  const bytes = new Uint8Array(await readFile(file))
  await writeFile(file, bytes.fill(0, 436, 500))
  const { document, text } = await quoteInspect.run({} as CommandContext, input(file))
  const shown = document as { readonly fmspc: string; readonly report: { readonly debug: boolean } }
  assert.equal(shown.fmspc, '00a067110000')
  assert.equal(shown.report.debug, false)
  assert.match(`${text}`, /^unverified/)
  await writeFile(file, bytes.subarray(0, 600))
  const truncated = quoteInspect.run({} as CommandContext, input(file))
  await assert.rejects(truncated, { code: 'QUOTE_FORMAT' })
})

test('quote verify and quote inspect read TDX quotes', async () => {
  const directory = join(SGX_VECTORS, 'tdx-b0c06f000000-jun25')
  const { document, exitCode, text } = await verify(directory, { at: '2025-07-04T10:16:31Z' })
  assert.equal(exitCode, 0)
  assert.equal(document.status, 'UpToDate')
  assert.equal((document as unknown as Record<string, unknown>).mrEnclave, null)
  // Exit code 0 and platform "sgx" alone would let a domain pass for an enclave.
  assert.equal((document as unknown as Record<string, unknown>).tee, 'tdx')
  assert.match(`${text}`, /no enclave/)
  assert.match(`${text}`, /\nMRTD +[0-9a-f]{96}\n/)
  const shown = await quoteInspect.run({} as CommandContext, input(join(directory, 'quote.bin')))
  assert.equal((shown as { document: { tee: string } }).document.tee, 'tdx')
})

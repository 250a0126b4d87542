// Quotes per second, on one thread. The peer is @phala/dcap-qvl, installed for this alone; it caches nothing,
// so each of our rows stands beside the same figure of it.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import {
  type Collateral,
  encodeQuote,
  parseQuote,
  type VerifyQuoteInput,
  verifyQuote,
} from '#lib/attest'
import { fromUtf8, toHex } from '#lib/bytes'
import { object, parseJson, string } from '#lib/json'
import { forge } from '../../test/support/sgx-forge.ts'
import { sgxCase } from '../../test/support/sgx-vectors.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { type Row, type RowFrame, row } from './document.ts'

const TOP = join(import.meta.dirname, '../..')
const FOLDER = join(TOP, '.bootstrap/bench')
const PEER = '@phala/dcap-qvl'
const PEER_VERSION = '0.3.9'

/** More than our caches hold (32 chains, lists and documents, 64 QE reports), in turn: none is ever found. */
const PLATFORMS = 96
/** Quotes with attestation keys of their own, more than are remembered. */
const KEYS = 96
/** Quotes that one sample verifies. */
const QUOTES = 960

/** Times the peer (design, section 10). */
const GOAL = 20

const AT = new Date('2025-07-04T10:28:44Z')

export const bench: Bench = { peers: [], run }

interface Peer {
  QuoteVerifier: {
    newWithRootCa(root: Uint8Array): PeerVerifier
    newProd(): PeerVerifier
  }
}
interface PeerVerifier {
  verify(quote: Uint8Array, collateral: unknown, nowSeconds: number): { status: string }
}

/** One quote, ready for both sides. */
interface Subject {
  readonly input: VerifyQuoteInput
  readonly theirs: () => { status: string }
}

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  const peer = loadPeer(note)
  note('forge the platforms')
  const platforms = Array.from({ length: PLATFORMS }, () => subject(peer, forge()))
  const base = forge()
  const keys = Array.from({ length: KEYS }, () => subject(peer, otherKey(base)))
  const one = subject(peer, base)
  const real = subject(peer, { ...sgxCase('sgx-00a067110000-jun25').input, now: AT })
  const rows: readonly (readonly [RowFrame, readonly Subject[]])[] = [
    [frame('nothing cached', null, `${PLATFORMS} platforms in turn`), platforms],
    [
      frame('certificates and collateral cached', GOAL, `one platform, ${KEYS} attestation keys`),
      keys,
    ],
    [frame('attestation key cached', null, 'one platform, one key'), [one]],
    [frame('attestation key cached, a quote of real hardware', null), [real]],
  ]
  const found: Row[] = []
  for (const [about, subjects] of rows) {
    const samples = { ours: [] as number[], theirs: [] as number[] }
    // A first round of each: what is compiled and cached is then the same for all samples.
    ours(subjects)
    theirs(subjects)
    for (let i = 0; i < runs; i++) {
      signal.throwIfAborted()
      note(`${about.name}: run ${i + 1} of ${runs}`)
      samples.ours.push(ours(subjects))
      samples.theirs.push(theirs(subjects))
    }
    found.push(row(about, samples.ours, { name: PEER, samples: samples.theirs }))
  }
  return found
}

function frame(name: string, goal: number | null, note?: string): RowFrame {
  const base = { name, unit: 'quotes/s', better: 'higher', goal } as const
  return note === undefined ? base : { ...base, note }
}

function ours(subjects: readonly Subject[]): number {
  return rate(QUOTES, (i) => {
    const { code, verified } = verifyQuote(at(subjects, i).input)
    if (!verified) throw new Error(`our verifier refused: ${code}`)
  })
}

function theirs(subjects: readonly Subject[]): number {
  // Fewer are enough of what takes longer: a sample of either side has about the same length.
  return rate(QUOTES / 10, (i) => at(subjects, i).theirs())
}

function rate(count: number, verify: (i: number) => void): number {
  const begin = performance.now()
  for (let i = 0; i < count; i++) verify(i)
  return (count * 1000) / (performance.now() - begin)
}

function at(subjects: readonly Subject[], i: number): Subject {
  const found = subjects[i % subjects.length]
  if (found === undefined) throw new RangeError('no quotes')
  return found
}

/** Another attestation key's quote under the PCK certificate of `base`. */
function otherKey(base: VerifyQuoteInput): VerifyQuoteInput {
  // Signatures are random, so the QE report of another forgery is not the remembered one.
  const fresh = parseQuote(forge().quote)
  const { certificationData } = parseQuote(base.quote)
  return { ...base, quote: encodeQuote({ ...fresh, certificationData }) }
}

function subject(peer: Peer, input: VerifyQuoteInput): Subject {
  const [anchor] = input.anchors
  if (anchor === undefined) throw new RangeError('no anchor')
  const verifier =
    anchor.platform === 'sgx'
      ? peer.QuoteVerifier.newProd()
      : peer.QuoteVerifier.newWithRootCa(Buffer.from(anchor.certificate.raw))
  const collateral = peerCollateral(input.collateral)
  const seconds = Math.floor(input.now.getTime() / 1000)
  const quote = Buffer.from(input.quote)
  return { input, theirs: () => verifier.verify(quote, collateral, seconds) }
}

function peerCollateral(collateral: Collateral): Record<string, string> {
  const document = (bytes: Uint8Array, member: string): { text: string; signature: string } => {
    const body = object(parseJson(bytes), member)
    // Both documents are served compact: what was signed is the text between name and signature.
    const text = fromUtf8(bytes, member)
    const start = `{"${member}":`.length
    return {
      text: text.slice(start, text.lastIndexOf(',"signature"')),
      signature: string(body.signature, 'signature'),
    }
  }
  const tcbInfo = document(collateral.tcbInfo, 'tcbInfo')
  const qeIdentity = document(collateral.qeIdentity, 'enclaveIdentity')
  return {
    pck_crl_issuer_chain: fromUtf8(collateral.tcbInfoIssuerChain, 'chain'),
    root_ca_crl: toHex(collateral.rootCaCrl),
    pck_crl: toHex(collateral.pckCrl),
    tcb_info_issuer_chain: fromUtf8(collateral.tcbInfoIssuerChain, 'chain'),
    tcb_info: tcbInfo.text,
    tcb_info_signature: tcbInfo.signature,
    qe_identity_issuer_chain: fromUtf8(collateral.qeIdentityIssuerChain, 'chain'),
    qe_identity: qeIdentity.text,
    qe_identity_signature: qeIdentity.signature,
  }
}

/** Installs the peer beside this tree on its first use: it is no dependency of anything. */
function loadPeer(note: (text: string) => void): Peer {
  if (!existsSync(join(FOLDER, 'node_modules', PEER))) {
    note(`install ${PEER}`)
    const wanted = `${PEER}@${PEER_VERSION}`
    const line = ['install', '--prefix', FOLDER, '--no-save', '--no-audit', '--no-fund', wanted]
    execFileSync('npm', line, { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return createRequire(join(FOLDER, 'bench.cjs'))(PEER) as Peer
}

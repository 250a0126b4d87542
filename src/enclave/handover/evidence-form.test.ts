import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { toBase64 } from '#lib/bytes'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { forge } from '../../../test/support/sgx-forge.ts'
import { evidenceForm } from './evidence-form.ts'

const PROGRAM = join(import.meta.dirname, 'quote-evidence.ts')
const tee = localPlatform(new Uint8Array(16)).tee({})
const clock = { now: () => 0 }
const [anchor] = forge().anchors
const root = toBase64(anchor?.certificate.raw ?? new Uint8Array())
const handover = { form: 'quote', root, minTcbEvaluationDataNumber: 17 } as const
const DATA = new Uint8Array(64)

test('an enclave whose manifest says nothing has local reports, and loads no program for quotes', async () => {
  const form = await evidenceForm(tee, {}, clock, '/nonexistent')
  assert.deepEqual([form.code, form.targetInfoSize], [1, 512])
})

test('one whose manifest asks for quotes has them, or nothing', async () => {
  const form = await evidenceForm(tee, { handover }, clock, PROGRAM)
  assert.deepEqual([form.code, form.targetInfoSize], [2, 0])
  await assert.rejects(evidenceForm(tee, { handover }, clock, '/nonexistent'))
})

test('a root that is none ends it before a message is made', async () => {
  const none = { handover: { ...handover, root: 'MAA=' } }
  await assert.rejects(evidenceForm(tee, none, clock, PROGRAM), { code: 'TRUST_ANCHOR_FORMAT' })
})

test('a platform that gives no collateral has no quotes that count', async () => {
  const form = await evidenceForm(tee, { handover }, clock, PROGRAM)
  const { quote } = forge()
  const self = await form.self()
  await assert.rejects(form.check(self, quote, new Uint8Array(), DATA), {
    code: 'COLLATERAL_FORMAT',
  })
  const collateral = async () => new TextEncoder().encode('{}')
  const empty = await evidenceForm({ ...tee, collateral }, { handover }, clock, PROGRAM)
  await assert.rejects(empty.check(self, quote, new Uint8Array(), DATA), {
    code: 'COLLATERAL_FORMAT',
  })
})

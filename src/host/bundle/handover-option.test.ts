import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { intelSgxRoot } from '#lib/attest'
import { toBase64 } from '#lib/bytes'
import type { QuoteHandover } from '#lib/manifest'
import { readHandover } from './handover-option.ts'

const dir = mkdtempSync(join(tmpdir(), 'handover-option-'))
after(() => rmSync(dir, { recursive: true }))

function read(flags: Readonly<Record<string, string>>): QuoteHandover | undefined {
  return readHandover({ text: (flag) => flags[flag] })
}

function quotes(root: string, number = '17'): QuoteHandover | undefined {
  return read({ handover: 'quote', 'trust-anchor': root, 'min-tcb-evaluation': number })
}

test('what is not said is local reports, and a form of quotes has its root and number', () => {
  assert.equal(read({}), undefined)
  assert.equal(read({ handover: 'report' }), undefined)
  const root = join(dir, 'root.der')
  const { raw } = intelSgxRoot().certificate
  writeFileSync(root, raw)
  const expected = { form: 'quote', root: toBase64(raw), minTcbEvaluationDataNumber: 17 }
  assert.deepEqual(quotes(root), expected)
  for (const number of ['', '-1', '1e3', '1234567890', '0x10']) {
    assert.throws(() => quotes(root, number), { code: 'USAGE' }, number)
  }
})

test('a file that cannot be a root is neither read to its end nor waited for', () => {
  assert.throws(() => quotes('/dev/zero'), { code: 'USAGE' })
  const fifo = join(dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  assert.throws(() => quotes(fifo), { code: 'TRUST_ANCHOR_FORMAT' })
  assert.throws(() => quotes(join(dir, 'absent')), { code: 'INPUT_UNREADABLE' })
  assert.throws(() => quotes(dir), { code: 'INPUT_UNREADABLE' })
})

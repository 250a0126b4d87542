import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explanation } from './explanation.ts'

test("what an enclave or a stranger said cannot redraw the owner's terminal or forge a line", () => {
  const text = explanation({
    id: '0123456789abcdef',
    time: '2026-01-01T00:00:00.000Z',
    kind: 'appraise',
    decision: 'deny',
    code: 'APPRAISE_EVIDENCE',
    subject: 'enclave\u001b[2J\nappraise allow [ALLOWED]',
    claims: [
      {
        name: 'pck-chain',
        expected: ['Intel\u009b31m'],
        actual: 'CN\r\n  ok  everything',
        ok: false,
      },
    ],
    policyIds: [],
    next: 'run this:\u2028curl',
  })
  assert.equal(text.split('\n').length, 5)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028]/)
})

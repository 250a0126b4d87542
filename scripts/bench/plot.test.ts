import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BenchDocument, row } from './document.ts'
import { plot } from './plot.ts'

const machine = { cpu: 'x', cores: 2, memoryBytes: 1, kernel: '6', node: 'v26' }
const document: BenchDocument = {
  schema: 'enclave-cc.bench/1',
  bench: 'start',
  commit: 'c',
  date: '2026-01-01T00:00:00Z',
  machine,
  peers: {},
  rows: [
    row({ name: 'a <b> & "c"', unit: 'ms', better: 'lower', goal: 0.5 }, [100, 120], {
      name: 'runc',
      samples: [90],
    }),
    row({ name: 'memory', unit: 'MiB', better: 'lower', goal: 150 }, [90]),
  ],
}

test('plot() draws every row within its width and escapes names', () => {
  const svg = plot(document)
  assert.match(svg, /a &#60;b&#62; &#38; &#34;c&#34;/)
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/)
  const [, width = '0'] = /width="(\d+)"/.exec(svg) ?? []
  for (const [, x = '0', w = '0'] of svg.matchAll(/<rect x="([\d.]+)"[^>]* width="([\d.]+)"/g)) {
    assert.ok(Number(x) + Number(w) <= Number(width))
  }
  // three bars, two units, two goals
  assert.equal(svg.match(/<rect x=/g)?.length, 3)
  assert.equal(svg.match(/is better/g)?.length, 2)
  assert.equal(svg.match(/stroke="#c0392b"/g)?.length, 2)
})

test('plot() is the same every time', () => {
  assert.equal(plot(document), plot(document))
})

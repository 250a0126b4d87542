import assert from 'node:assert/strict'
import { test } from 'node:test'
import { examine, reportText } from './doctor.ts'
import { NotTried, type Probe, versionAtLeast } from './probe.ts'

const probe = (name: string, required: boolean, ok: boolean): Probe => ({
  name,
  required,
  needed: 'n',
  next: `fix ${name}`,
  look: () => ({ ok, found: 'f' }),
})

test('only a required probe that fails makes the verdict no', async () => {
  const good = await examine([probe('a', true, true), probe('b', false, false)])
  assert.equal(good.ok, true)
  assert.deepEqual(good.probes, [
    { name: 'a', ok: true, required: true, found: 'f', needed: 'n' },
    { name: 'b', ok: false, required: false, found: 'f', needed: 'n', next: 'fix b' },
  ])
  const bad = await examine([probe('a', true, false), probe('b', true, true)])
  assert.equal(bad.ok, false)
  assert.match(reportText(bad), /FAIL {2}a {2}f \(needed: n\)\n.*next: fix a/)
  assert.match(reportText(bad), /cannot run containers/)
})

test('a probe that throws is a finding, and the next ones still run', async () => {
  const thrower: Probe = {
    ...probe('a', true, true),
    look: () => {
      throw new Error('no such device')
    },
  }
  const { ok, probes } = await examine([thrower, probe('b', true, true)])
  assert.equal(ok, false)
  assert.deepEqual(
    probes.map(({ found }) => found),
    ['no such device', 'f'],
  )
})

test('a failed system call is a finding in words, with its path where it has one', async () => {
  const failing = (error: object): Probe => ({
    ...probe('a', true, true),
    look: () => {
      throw Object.assign(new Error('raw'), error)
    },
  })
  const { probes } = await examine([
    failing({ code: 'ENOENT', syscall: 'open', path: '/dev/fuse' }),
    failing({ code: 'ENODEV', syscall: 'mount' }),
    failing({ code: 'E999', syscall: 'mount' }),
    failing({ code: 'EROFS_MISSING' }),
  ])
  assert.deepEqual(
    probes.map(({ found }) => found),
    [
      '/dev/fuse: it does not exist (ENOENT)',
      'the kernel does not have it (mount: ENODEV)',
      ...['raw', 'raw'],
    ],
  )
})

test('what to do follows from what was found, where that says more', async () => {
  const failing = (error: Error): Probe => ({
    ...probe('a', true, true),
    look: () => {
      throw error
    },
  })
  const denied = Object.assign(new Error('no'), { code: 'EPERM', syscall: 'mount' })
  const { probes } = await examine([
    failing(denied),
    failing(new Error('coded', { cause: denied })),
    failing(new NotTried('namespaces')),
    failing(new Error('other')),
  ])
  const [first, second, third, fourth] = probes.map(({ next }) => next ?? '')
  assert.match(first ?? '', /unprivileged container/)
  assert.equal(second, first)
  assert.equal(third, 'see namespaces')
  assert.equal(fourth, 'fix a')
})

test('versionAtLeast() compares numbers, not text', () => {
  for (const [found, needed] of [
    ['6.18.44-fc', '5.8'],
    ['5.10.0', '5.8'],
    ['5.8', '5.8'],
    ['1.1.5+ds1', '1.1'],
  ] as const) {
    assert.ok(versionAtLeast(found, needed), found)
  }
  for (const [found, needed] of [
    ['5.7.99', '5.8'],
    ['1.0.3', '1.1'],
    ['unknown', '1.1'],
  ] as const) {
    assert.ok(!versionAtLeast(found, needed), found)
  }
})

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { commands } from './commands.ts'
import type { PlatformSummary } from './sim/index.ts'

const root = mkdtempSync(join(tmpdir(), 'platform-commands-'))
after(() => rmSync(root, { recursive: true, force: true }))

function run(
  name: string,
  operands: readonly string[],
  flags: readonly string[] = [],
): Promise<Outcome> {
  const command = commands.find(({ path }) => path.join(' ') === `platform ${name}`)
  const input: CommandInput = {
    operands,
    flag: (flag) => flags.includes(flag),
    text: () => undefined,
    list: () => [],
  }
  return command?.run({ places: { root } } as CommandContext, input) ?? assert.fail(name)
}

test('platform show says what it does not protect', async () => {
  const { document, text } = await run('show', [])
  assert.equal((document as PlatformSummary).platform, 'simulated')
  assert.equal((document as PlatformSummary).directory, join(root, 'platform'))
  assert.match(text ?? '', /operator of this machine can read memory and mint any measurement/)
})

test('platform export-root writes the certificate, again too, and spares other files', async () => {
  const file = join(root, 'root.pem')
  await run('export-root', [file])
  const pem = readFileSync(file, 'utf8')
  assert.match(pem, /^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n$/)
  await run('export-root', [file])
  writeFileSync(file, 'something else')
  await assert.rejects(run('export-root', [file]), { code: 'OUTPUT_EXISTS' })
  await run('export-root', [file], ['force'])
  assert.equal(readFileSync(file, 'utf8'), pem)
  const { bytes } = await run('export-root', ['-'])
  assert.equal(Buffer.from(bytes ?? []).toString(), pem)
})

test('platform set changes nothing without --rehearsal', async () => {
  await assert.rejects(run('set', ['revoked']), { code: 'PLATFORM_REHEARSAL_NEEDED' })
  const { document } = await run('show', [])
  assert.equal((document as PlatformSummary).rehearsal.pck, 'valid')
})

test('platform set takes several settings and normal ends them', async () => {
  const { document } = await run('set', ['tcb=out-of-date', 'debug'], ['rehearsal'])
  const { rehearsal } = document as PlatformSummary
  assert.deepEqual([rehearsal.tcb, rehearsal.debug], ['out-of-date', true])
  const normal = (await run('set', ['normal'], ['rehearsal'])).document as PlatformSummary
  assert.deepEqual([normal.rehearsal.tcb, normal.rehearsal.debug], ['up-to-date', false])
})

test('platform set refuses a setting that does not exist, and names those that do', async () => {
  for (const setting of ['tcb=fine', 'constructor', '']) {
    await assert.rejects(run('set', [setting], ['rehearsal']), (error: Error) => {
      assert.equal((error as Error & { code?: string }).code, 'USAGE')
      assert.match(String((error as Error & { next?: string }).next), /tcb=out-of-date/)
      return true
    })
  }
})

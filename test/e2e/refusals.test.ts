import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { chunkOffset } from '#lib/sealed'
import { buildBusyboxImage } from '../support/busybox-image.ts'
import { flipByte } from '../support/files.ts'
import { type EditableImage, editLayout } from '../support/layout-edit.ts'
import { ownedWorld } from '../support/owned-world.ts'
import { publish } from '../support/owner.ts'
import { asked, auditLength, explained, refused } from '../support/refused.ts'
import { registryBlobs } from '../support/registry-blobs.ts'
import { sealedFiles } from '../support/sealed-files.ts'
import { until, type World } from '../support/world.ts'

const KEK = 'kbs:///acme/image-kek/test'
const CONFIG = { Entrypoint: ['cat'], Cmd: ['/etc/greeting'] }
const FILES = { '/etc/greeting': 'hello from inside\n' }

let world: World
let app: string

ownedWorld('refusals', async (made) => {
  world = made
  app = await publish(world, { name: 'acme/app:1', config: CONFIG, files: FILES })
  // makes the folders that stay
  await world.ok(['run', '--rm', app])
})

function run(...args: string[]): ReturnType<World['cli']> {
  return world.cli(['run', '--rm', ...args])
}

function blob(repository: string, digest: string): string {
  const found = registryBlobs(world, repository).find((path) => path.endsWith(digest.slice(7)))
  return join(found ?? assert.fail(`${repository} has no ${digest}`), 'data')
}

interface Inspected {
  readonly digest: string
  readonly layers: readonly { readonly digest: string; readonly size: number }[]
}

async function inspectImage(reference: string): Promise<Inspected> {
  return (await world.ok(['image', 'inspect', `docker://${reference}`, '--json'])).json<Inspected>()
}

/** A signed image whose parts were changed before or after its encryption. */
async function publishEdited(
  name: string,
  edits: { plain?: (image: EditableImage) => void; sealed?: (image: EditableImage) => void },
): Promise<string> {
  const [plain, sealed] = [world.path(`${name}-plain`), world.path(`${name}-sealed`)]
  const reference = `${world.registry}/acme/${name}:1`
  buildBusyboxImage({ work: world.path(`${name}-work`), out: plain, config: CONFIG, files: FILES })
  if (edits.plain !== undefined) editLayout(plain, edits.plain)
  const to = `oci:${sealed}:1`
  await world.ok(['image', 'encrypt', `oci:${plain}:plain`, to, '--encryption-key', KEK])
  if (edits.sealed !== undefined) editLayout(sealed, edits.sealed)
  await world.ok(['image', 'push', to, `docker://${reference}`])
  await world.ok(['image', 'sign', `docker://${reference}`, '--key', world.path('owner.key')])
  return reference
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy[copy.length >> 1] = (copy[copy.length >> 1] as number) ^ 1
  return copy
}

test('the image itself runs, and its keys are asked for once: what follows is refused for one reason', async () => {
  const from = await auditLength(world)
  const result = await run(app)
  assert.equal(result.code, 0, result.stderr)
  assert.equal(result.stdout, 'hello from inside\n')
  const keys = (await asked(world, from)).filter((subject) => subject.includes('image-kek/test'))
  assert.equal(keys.length, 1, 'the detector of key requests sees one')
})

test('an image that nobody signed', async () => {
  const reference = await publish(world, {
    name: 'acme/unsigned:1',
    config: CONFIG,
    sign: false,
  })
  const from = await auditLength(world)
  const told = refused(await run(reference), 'SIGNATURE_MISSING')
  const decision = await explained(world, told)
  assert.deepEqual([decision.kind, decision.decision], ['launch', 'deny'])
  const keys = (await asked(world, from)).filter((subject) => subject.includes('image-kek'))
  assert.deepEqual(keys, [])
})

test('a signature of another digest, copied to the tag of this one', async () => {
  const unsigned = await inspectImage(`${world.registry}/acme/unsigned:1`)
  const signed = await inspectImage(app)
  const tag = (digest: string): string => `${digest.replace(':', '-')}.sig`
  const from = `docker://${world.registry}/acme/app:${tag(signed.digest)}`
  const to = `docker://${world.registry}/acme/unsigned:${tag(unsigned.digest)}`
  await world.ok(['image', 'copy', from, to])
  refused(await run(`${world.registry}/acme/unsigned:1`), 'SIGNATURE_DIGEST_MISMATCH')
})

test('a signed image under a repository that its signature does not name', async () => {
  const { digest } = await inspectImage(app)
  const tag = `${digest.replace(':', '-')}.sig`
  for (const name of ['1', tag]) {
    const to = `docker://${world.registry}/acme/renamed:${name}`
    await world.ok(['image', 'copy', `docker://${world.registry}/acme/app:${name}`, to])
  }
  refused(await run(`${world.registry}/acme/renamed:1`), 'SIGNATURE_IDENTITY_MISMATCH')
})

test('an image that somebody else signed', async () => {
  const reference = await publish(world, { name: 'acme/foreign:1', config: CONFIG, sign: false })
  await world.ok(['keygen', 'signing', '--out', world.path('stranger')])
  await world.ok(['image', 'sign', `docker://${reference}`, '--key', world.path('stranger.key')])
  refused(await run(reference), 'SIGNATURE_INVALID')
})

test('an image outside of what the owner lets in', async () => {
  const reference = `${world.registry}/other/app:1`
  await world.ok(['image', 'copy', `docker://${app}`, `docker://${reference}`])
  refused(await run(reference), 'IMAGE_POLICY_REJECTS')
})

test("owner A's signed image that names owner B's key: no key is asked for", async () => {
  const kek = world.path('rival-kek')
  writeFileSync(kek, Buffer.alloc(32, 9))
  await world.ok(['kbs', 'resource', 'set', 'kbs:///rival/image-kek/secret', kek])
  const reference = await publish(world, {
    name: 'acme/confused:1',
    config: CONFIG,
    encryptionKey: `provider:attestation-agent:keypath=${kek}::keyid=kbs:///rival/image-kek/secret`,
  })
  const from = await auditLength(world)
  const told = refused(await run(reference), 'KEY_NAMESPACE_REFUSED')
  assert.equal((await explained(world, told)).code, 'KEY_NAMESPACE_REFUSED')
  const keys = (await asked(world, from)).filter((subject) => subject.includes('image-kek'))
  assert.deepEqual(keys, [], 'neither the key of B nor any other')
})

test('init-data for another namespace: the owner there has let nothing in', async () => {
  const { stdout } = await world.ok(['kbs', 'init-data', '--namespace', 'rival'])
  writeFileSync(world.path('rival.toml'), stdout)
  const args = ['--init-data', world.path('rival.toml'), app]
  refused(await run(...args), 'IMAGE_POLICY_MISSING')
  const policy = 'kbs:///rival/security-policy/default'
  await world.ok(['kbs', 'resource', 'set', policy, world.path('policy.json')])
  const from = await auditLength(world)
  refused(await run(...args), 'KEY_NAMESPACE_REFUSED')
  assert.deepEqual(
    (await asked(world, from)).filter((subject) => subject.includes('image-kek')),
    [],
  )
})

test('an unencrypted image runs if it is signed, unless the owner wants encryption', async (t) => {
  const reference = await publish(world, {
    name: 'acme/plain:1',
    config: CONFIG,
    files: FILES,
    encryptionKey: null,
  })
  const before = await run(reference)
  assert.equal(before.stdout, 'hello from inside\n', before.stderr)
  await launchPolicy(
    t,
    '@id("only-encrypted") forbid (principal, action == Action::"run", resource) unless { principal.encrypted };',
  )
  const told = refused(await run(reference), 'LAUNCH_REFUSED')
  assert.match(told.sentence, /only-encrypted/, 'the refusal names the rule of the owner')
  assert.match((await explained(world, told)).subject, /acme\/plain:1/)
  assert.equal((await run(app)).code, 0, 'the encrypted one still runs')
})

test('an image for another CPU', async () => {
  const architecture = process.arch === 'x64' ? 'arm64' : 'amd64'
  const reference = await publish(world, { name: 'acme/cpu:1', config: CONFIG, architecture })
  const told = refused(await run(reference), 'IMAGE_PLATFORM_MISSING')
  assert.match(told.sentence, new RegExp(architecture))
})

const REQUESTS = [
  ['ARGS', [], ['/etc/group']],
  ['ENTRYPOINT', ['--entrypoint', 'id'], []],
  ['ENV', ['-e', 'LOG_LEVEL=debug'], []],
  ['USER', ['--user', 'app'], []],
  ['WORKDIR', ['--workdir', '/home'], []],
] as const

/** The default launch policy and further rules, until the test has ended. */
async function launchPolicy(
  t: { after(fn: () => Promise<unknown>): void },
  ...rules: string[]
): Promise<void> {
  const file = world.path('launch.cedar')
  const normal = (await world.ok(['kbs', 'policy', 'get', 'launch'])).stdout
  const set = (text: string): Promise<unknown> => {
    writeFileSync(file, text)
    return world.ok(['kbs', 'policy', 'set', 'launch', file])
  }
  t.after(() => set(normal))
  await set([normal, ...rules].join('\n'))
}

test('what the host asks for is refused by default, and granted by the rule that the refusal suggests', async (t) => {
  const reference = await publish(world, {
    name: 'acme/asks:1',
    config: { Entrypoint: ['sh', '-c', 'id -u; pwd; echo $LOG_LEVEL $0'], Cmd: ['own'] },
  })
  const suggestions: string[] = []
  for (const [field, options, args] of REQUESTS) {
    const told = refused(await run(...options, reference, ...args), `LAUNCH_${field}_REFUSED`)
    const rule = /^add to the launch policy: (@id\(.*;)$/.exec(told.next)?.[1]
    suggestions.push(rule ?? assert.fail(`${field}: ${told.next}`))
  }
  await launchPolicy(t, ...suggestions)
  const options = ['-e', 'LOG_LEVEL=debug', '--user', 'app', '--workdir', '/home']
  const granted = await run(...options, reference, '/etc/group')
  assert.equal(granted.code, 0, granted.stderr)
  assert.equal(granted.stdout, '1000\n/home\ndebug /etc/group\n')
  const other = await run('--entrypoint', 'id', reference)
  assert.equal(other.code, 0, other.stderr)
  assert.match(
    other.stdout,
    /^uid=0/,
    'the entry point of the host, without the command of the image',
  )
  refused(await run('-e', 'LOG_LEVEL=trace', '-e', 'OTHER=1', reference), 'LAUNCH_ENV_REFUSED')
})

test('names that choose code or peers are never granted, whatever the owner wrote', async (t) => {
  await launchPolicy(t, '@id("any") permit (principal, action == Action::"set-env", resource);')
  assert.equal((await run('-e', 'LOG_LEVEL=debug', app)).code, 0)
  for (const name of ['LD_PRELOAD', 'PATH', 'https_proxy', 'NODE_OPTIONS']) {
    const told = refused(await run('-e', `${name}=/x`, app), 'LAUNCH_ENV_REFUSED')
    assert.match(told.sentence, new RegExp(name))
  }
})

test('a root that was taken back, and a platform that its maker revoked', async () => {
  const roots = (await world.ok(['kbs', 'root', 'list', '--json'])).json<{ id: string }[]>()
  for (const { id } of roots) await world.ok(['kbs', 'root', 'delete', id])
  refused(await run(app), 'APPRAISE_ROOT_UNTRUSTED')
  await world.ok(['kbs', 'root', 'add', world.path('sim-root.pem'), '--platform', 'simulated'])
  await world.ok(['platform', 'set', 'pck=revoked', '--rehearsal'])
  const revoked = await run(app)
  await world.ok(['platform', 'set', 'normal', '--rehearsal'])
  refused(revoked, 'APPRAISE_REVOKED')
  assert.equal((await run(app)).code, 0)
})

test('damaged content is one code to the host, and the owner reads the cause', async () => {
  const corrupted = await publishEdited('corrupted', {})
  const { layers } = await inspectImage(corrupted)
  const [first] = layers
  flipByte(blob('acme/corrupted', first?.digest ?? ''), 5000)
  const hmac = await publishEdited('hmac', {
    sealed({ manifest, read, replace }) {
      const [layer] = manifest.layers
      if (layer !== undefined) replace(layer, flipped(read(layer)))
    },
  })
  const diffId = await publishEdited('diff-id', {
    plain({ config }) {
      config.rootfs.diff_ids[1] = `sha256:${'00'.repeat(32)}`
    },
  })
  const tar = await publishEdited('tar', {
    plain({ manifest, replace }) {
      const [, layer] = manifest.layers
      if (layer !== undefined) replace(layer, gzipSync(Buffer.alloc(4096, 'no archive ')))
    },
  })
  const gzip = await publishEdited('gzip', {
    plain({ manifest, read, replace }) {
      const [, layer] = manifest.layers
      if (layer !== undefined) replace(layer, read(layer).subarray(0, -20))
    },
  })
  const sentences = new Set<string>()
  for (const [reference, cause] of [
    [corrupted, /DIGEST_MISMATCH/],
    [hmac, /LAYER_MAC_MISMATCH/],
    [diffId, /LAYER_DIFF_ID_MISMATCH/],
    [tar, /TAR_/],
    [gzip, /LAYER_COMPRESSION|LAYER_DIFF_ID_MISMATCH/],
  ] as const) {
    const result = await run(reference)
    const told = refused(result, 'IMAGE_REJECTED')
    assert.doesNotMatch(result.stderr, cause, 'the host does not see which')
    sentences.add(`${told.sentence}|${told.next}`)
    const decision = await explained(world, told)
    assert.match(JSON.stringify(decision.claims), cause)
    // on a simulated platform, whose operator can read memory anyhow, the host may ask
    const shown = await world.cli(['run', '--rm', '--explain', '--json', reference])
    assert.match(shown.stderr, cause)
  }
  assert.equal(sentences.size, 1, [...sentences].join('\n'))
})

test('a sealed layer that is changed while the container runs ends it', async (t) => {
  const reference = await publish(world, {
    name: 'acme/sealed:1',
    config: {
      Entrypoint: [
        'sh',
        '-c',
        'trap "cat /opt/large >/dev/null && echo all read" USR1; echo ready; while :; do sleep 0.1; done',
      ],
    },
    files: { '/opt/large': Buffer.alloc(512 * 1024, 'words that lie in a layer ') },
  })
  const attacks: readonly [string, (file: string) => void][] = [
    ['one byte flipped', (file) => flipByte(file, chunkOffset(40) + 100)],
    [
      'two chunks swapped',
      (file) => {
        const bytes = readFileSync(file)
        const ten = Buffer.from(bytes.subarray(chunkOffset(40), chunkOffset(44)))
        bytes.copyWithin(chunkOffset(40), chunkOffset(44), chunkOffset(48))
        ten.copy(bytes, chunkOffset(44))
        writeFileSync(file, bytes)
      },
    ],
    [
      'the file cut',
      (file) => writeFileSync(file, readFileSync(file).subarray(0, chunkOffset(32))),
    ],
  ]
  const says = async (id: string, word: string): Promise<void> =>
    until(async () => (await world.ok(['logs', id])).stdout.includes(word), word)
  await t.test('left as it is, the program reads it to its end', async () => {
    const { stdout } = await world.ok(['run', '-d', reference])
    const id = stdout.trim()
    try {
      await says(id, 'ready')
      await world.ok(['kill', '-s', 'USR1', id])
      await says(id, 'all read')
    } finally {
      await world.ok(['rm', '-f', id])
    }
  })
  for (const [name, attack] of attacks) {
    await t.test(name, async () => {
      const { stdout } = await world.ok(['run', '-d', reference])
      const id = stdout.trim()
      try {
        const [, file = ''] = await sealedFiles(world, id)
        await says(id, 'ready')
        attack(file)
        await world.ok(['kill', '-s', 'USR1', id])
        const waited = await world.cli(['wait', id], { signal: AbortSignal.timeout(30_000) })
        assert.equal(waited.stdout.trim(), '137', 'ended by KILL')
        const [record] = (await world.ok(['inspect', id])).json<
          { state: string; code?: string; message?: string }[]
        >()
        assert.deepEqual([record?.state, record?.code], ['exited', 'ROOTFS_TAMPERED'])
        assert.match(record?.message ?? '', /chunk \d+ is not genuine/)
        const logs = await world.ok(['logs', id])
        assert.equal(logs.stdout, 'ready\n', 'no read of the whole file succeeded')
      } finally {
        await world.ok(['rm', '-f', id])
      }
    })
  }
})

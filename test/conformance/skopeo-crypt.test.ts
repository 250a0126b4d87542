// Encryption beside Debian's skopeo, in both directions, and signatures in a real registry. Debian has
// no cosign and builds skopeo without sigstore signatures: the vectors in test/vectors/signing stand in.
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { writeOciImage } from '../support/oci-image.ts'
import { World } from '../support/world.ts'

const missing = ['skopeo', 'docker-registry', 'openssl'].find(
  (program) => spawnSync(program, ['--version']).error !== undefined,
)
const skip = missing === undefined ? false : `${missing} is not installed`

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly annotations?: Readonly<Record<string, string>>
}

describe('image protection beside skopeo and docker-registry', { skip }, () => {
  const world = new World('crypt')
  const at = (...names: string[]): string => world.path(...names)
  let count = 0
  const fresh = (): string => {
    count += 1
    return `oci:${at(`out-${count}`)}:app`
  }
  const plain = `oci:${at('plain')}:app`

  const skopeo = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync('skopeo', args, { encoding: 'utf8', cwd: world.dir })
  const skopeoOk = (...args: string[]): void => {
    const { status, stderr } = skopeo(...args)
    assert.equal(status, 0, `skopeo ${args.join(' ')}\n${stderr}`)
  }
  const layersOf = (image: string): readonly Layer[] => {
    const dir = image.split(':')[1] ?? ''
    const index = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8'))
    const [algorithm, hex] = index.manifests[0].digest.split(':')
    return JSON.parse(readFileSync(join(dir, 'blobs', algorithm, hex), 'utf8')).layers
  }
  const digests = (image: string): string[] => layersOf(image).map(({ digest }) => digest)
  const keys = new Map<string, { readonly pub: string; readonly private: string }>()

  before(async () => {
    await world.startRegistry()
    for (const layer of ['a', 'b', 'c']) {
      mkdirSync(at(layer))
      writeFileSync(at(layer, 'file'), randomBytes(200_000))
    }
    writeOciImage(at('plain'), 'app', {
      layers: ['a', 'b', 'c'].map((name) => at(name)),
      config: {},
    })
    await world.ok(['keygen', 'encryption', '--out', at('ec')])
    await world.ok(['keygen', 'encryption', '--type', 'rsa', '--out', at('rsa')])
    for (const curve of ['P-384', 'P-521']) {
      const [pkcs8, pub] = [at(`${curve}.pem`), at(`${curve}.pub.pem`)]
      const algorithm = ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`]
      spawnSync('openssl', ['genpkey', ...algorithm, '-out', pkcs8])
      spawnSync('openssl', ['pkey', '-in', pkcs8, '-pubout', '-out', pub])
    }
    for (const name of ['ec', 'rsa', 'P-384', 'P-521']) {
      keys.set(name, { pub: at(`${name}.pub.pem`), private: at(`${name}.pem`) })
    }
  })
  after(() => world[Symbol.asyncDispose]())

  for (const name of ['ec', 'rsa', 'P-384', 'P-521']) {
    test(`skopeo decrypts what we encrypt for ${name}, and we what it encrypts`, async () => {
      const key = keys.get(name)
      assert.ok(key)
      const [ours, back] = [fresh(), fresh()]
      await world.ok(['image', 'encrypt', plain, ours, '--encryption-key', `jwe:${key.pub}`])
      assert.ok(layersOf(ours).every(({ mediaType }) => mediaType.endsWith('+encrypted')))
      skopeoOk('copy', '--decryption-key', key.private, ours, back)
      assert.deepEqual(digests(back), digests(plain))

      const [theirs, again] = [fresh(), fresh()]
      skopeoOk('copy', '--encryption-key', `jwe:${key.pub}`, plain, theirs)
      assert.ok(layersOf(theirs).every(({ mediaType }) => mediaType.endsWith('+encrypted')))
      await world.ok(['image', 'decrypt', theirs, again, '--decryption-key', key.private])
      assert.deepEqual(digests(again), digests(plain))
    })
  }

  test('each of several recipients opens an image, whoever made it', async () => {
    const recipients = [...keys.values()].flatMap(({ pub }) => ['--encryption-key', `jwe:${pub}`])
    const [ours, theirs] = [fresh(), fresh()]
    await world.ok(['image', 'encrypt', plain, ours, ...recipients])
    skopeoOk('copy', ...recipients, plain, theirs)
    for (const [name, key] of keys) {
      const [back, again] = [fresh(), fresh()]
      skopeoOk('copy', '--decryption-key', key.private, ours, back)
      await world.ok(['image', 'decrypt', theirs, again, '--decryption-key', key.private])
      assert.deepEqual([digests(back), digests(again)], [digests(plain), digests(plain)], name)
    }
  })

  test('selected layers are the same for both programs, and mixed images decrypt', async () => {
    const key = keys.get('ec')
    assert.ok(key)
    const select = ['--encryption-key', `jwe:${key.pub}`, '--encrypt-layer', '-1']
    const [ours, theirs] = [fresh(), fresh()]
    await world.ok(['image', 'encrypt', plain, ours, ...select, '--encrypt-layer', '0'])
    skopeoOk('copy', ...select, '--encrypt-layer', '0', plain, theirs)
    const encrypted = (image: string): boolean[] =>
      layersOf(image).map(({ mediaType }) => mediaType.endsWith('+encrypted'))
    assert.deepEqual(encrypted(ours), [true, false, true])
    assert.deepEqual(encrypted(theirs), [true, false, true])
    const [back, again] = [fresh(), fresh()]
    skopeoOk('copy', '--decryption-key', key.private, ours, back)
    await world.ok(['image', 'decrypt', theirs, again, '--decryption-key', key.private])
    assert.deepEqual(digests(back), digests(again))
    const none = await world.cli(['image', 'encrypt', plain, fresh(), ...select.slice(0, 3), '3'])
    assert.equal(none.code, 2)
    assert.match(none.stderr, /\[USAGE\]/)
  })

  test('a wrong key opens nothing and leaves nothing, in either program', async () => {
    const [ec, rsa] = [keys.get('ec'), keys.get('rsa')]
    assert.ok(ec && rsa)
    const [ours, none] = [fresh(), fresh()]
    await world.ok(['image', 'encrypt', plain, ours, '--encryption-key', `jwe:${ec.pub}`])
    assert.notEqual(skopeo('copy', '--decryption-key', rsa.private, ours, fresh()).status, 0)
    const refused = await world.cli([
      'image',
      'decrypt',
      ours,
      none,
      '--decryption-key',
      rsa.private,
    ])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /JWE_NOT_FOR_KEY.*\[LAYER_KEY_UNAVAILABLE\]/)
    assert.throws(() => statSync(none.split(':')[1] ?? ''), { code: 'ENOENT' })
  })

  test('an image that skopeo encrypted for pkcs7 is named as such', async () => {
    const cert = ['-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=x', '-keyout', at('p7.pem')]
    spawnSync('openssl', ['req', '-x509', ...cert, '-out', at('p7.crt')])
    const theirs = fresh()
    skopeoOk('copy', '--encryption-key', `pkcs7:${at('p7.crt')}`, plain, theirs)
    const args = ['image', 'decrypt', theirs, fresh(), '--decryption-key', at('p7.pem')]
    const refused = await world.cli(args)
    assert.match(refused.stderr, /pkcs7: .*not supported/)
  })

  test('a docker image becomes an OCI image when it is encrypted', async () => {
    const key = keys.get('ec')
    assert.ok(key)
    const docker = `docker://${world.registry}/acme/docker:1`
    skopeoOk('copy', '--format', 'v2s2', '--dest-tls-verify=false', plain, docker)
    const ours = fresh()
    await world.ok(['image', 'encrypt', docker, ours, '--encryption-key', `jwe:${key.pub}`])
    for (const { mediaType } of layersOf(ours)) {
      assert.equal(mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted')
    }
    const back = fresh()
    skopeoOk('copy', '--decryption-key', key.private, ours, back)
    assert.deepEqual(digests(back), digests(plain))
  })

  test('an image in a registry is signed, verified and refused by the commands', async () => {
    await world.ok(['keygen', 'signing', '--out', at('ours')])
    await world.ok(['keygen', 'signing', '--out', at('stranger')])
    const image = `docker://${world.registry}/acme/signed:1`
    await world.ok(['image', 'push', plain, image])
    const verify = async (...policy: string[]): Promise<[number, string | undefined]> => {
      const result = await world.cli(['image', 'verify', image, ...policy, '--json'])
      const { requirements } = result.json<{ requirements: { code?: string }[] }>()
      return [result.code, requirements[0]?.code]
    }
    const key = ['--key', at('ours.pub')]
    assert.deepEqual(await verify(...key), [1, 'SIGNATURE_MISSING'])
    await world.ok(['image', 'sign', image, '--key', at('stranger.key')])
    assert.deepEqual(await verify(...key), [1, 'SIGNATURE_INVALID'])
    await world.ok(['image', 'sign', image, '--key', at('ours.key'), '-a', 'team=a'])
    assert.deepEqual(await verify(...key), [0, undefined])
    const requirement = { type: 'sigstoreSigned', keyPath: at('ours.pub') }
    const docker = { [world.registry]: [requirement] }
    const policy = { default: [{ type: 'reject' }], transports: { docker } }
    writeFileSync(at('policy.json'), JSON.stringify(policy))
    assert.deepEqual(await verify('--policy', at('policy.json')), [0, undefined])
    // The signatures travel to another name, where they count no longer.
    const tag = `sha256-${await manifestHex(image)}.sig`
    const from = `docker://${world.registry}/acme/signed`
    const to = `docker://${world.registry}/acme/moved`
    for (const name of ['1', tag])
      await world.ok(['image', 'copy', `${from}:${name}`, `${to}:${name}`])
    const moved = await world.cli(['image', 'verify', `${to}:1`, ...key])
    assert.equal(moved.code, 1)
    assert.match(moved.stdout, /SIGNATURE_IDENTITY_MISMATCH/)
  })

  const manifestHex = async (image: string): Promise<string> =>
    (await world.ok(['image', 'inspect', image, '--json']))
      .json<{ digest: string }>()
      .digest.slice(7)

  test('keys in the broker encrypt, decrypt and sign', async () => {
    await world.startBroker()
    const uri = 'kbs:///acme/image-kek/app'
    const [ours, back] = [fresh(), fresh()]
    const made = await world.ok([
      'image',
      'encrypt',
      plain,
      ours,
      '--encryption-key',
      uri,
      '--json',
    ])
    const { layers } = made.json<{ layers: { recipients: object[] }[] }>()
    assert.deepEqual(layers[0]?.recipients, [{ scheme: 'provider.attestation-agent', id: uri }])
    const kek = await world.ok(['kbs', 'resource', 'get', uri, '--json'])
    assert.equal(kek.json().size, 32)
    await world.ok(['image', 'encrypt', plain, fresh(), '--encryption-key', uri])
    const still = await world.ok(['kbs', 'resource', 'get', uri, '--json'])
    assert.equal(still.json().version, kek.json().version, 'the key was not made anew')
    await world.ok(['image', 'decrypt', ours, back, '--decryption-key', uri])
    assert.deepEqual(digests(back), digests(plain))
    await world.ok(['kbs', 'resource', 'set', 'kbs:///acme/signing-key/app', at('ours.key')])
    const image = `docker://${world.registry}/acme/broker:1`
    await world.ok(['image', 'push', ours, image])
    await world.ok(['image', 'sign', image, '--key', 'kbs:///acme/signing-key/app'])
    await world.ok(['image', 'verify', image, '--key', at('ours.pub')])
  })
})

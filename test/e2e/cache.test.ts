import assert from 'node:assert/strict'
import {
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { type CountingProxy, countingProxy } from '../support/counting-proxy.ts'
import { flipByte } from '../support/files.ts'
import { publish, setUpOwner } from '../support/owner.ts'
import { asked, auditLength, refused } from '../support/refused.ts'
import { type CliResult, until, World } from '../support/world.ts'

const KEK = 'kbs:///acme/image-kek/test'
const CONFIG = { Entrypoint: ['sh', '-c', 'cat /opt/words | wc -c; echo done'] }
const WORDS = 'words that lie in a layer '.repeat(10_000)

let world: World
let proxy: CountingProxy
let encrypted: string
let plain: string

before(async () => {
  world = new World('cache')
  await world.startRegistry()
  proxy = await countingProxy(world.registry)
  world.registry = proxy.address
  await world.startBroker()
  await world.prepare()
  await setUpOwner(world)
  const files = { '/opt/words': WORDS }
  encrypted = await publish(world, { name: 'acme/secret:1', config: CONFIG, files })
  plain = await publish(world, { name: 'acme/plain:1', config: CONFIG, files, encryptionKey: null })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await proxy[Symbol.asyncDispose]()
})
beforeEach(() => {
  rmSync(layers(), { recursive: true, force: true })
  proxy.take()
})

function layers(): string {
  return join(world.root, 'layers')
}

function kept(end: '.record' | '.sealed'): readonly string[] {
  return readdirSync(layers())
    .filter((name) => name.endsWith(end))
    .sort()
    .map((name) => join(layers(), name))
}

/** Digests of an image's layers. */
async function layerDigests(reference: string): Promise<readonly string[]> {
  const shown = await world.ok(['image', 'inspect', `docker://${reference}`, '--json'])
  return shown.json<{ layers: { digest: string }[] }>().layers.map(({ digest }) => digest)
}

/** How many of an image's layers were asked for since the last look. */
async function layersFetched(reference: string): Promise<number> {
  const seen = proxy.take()
  const digests = await layerDigests(reference)
  proxy.take()
  return digests.filter((digest) => seen.some((line) => line.endsWith(`/blobs/${digest}`))).length
}

async function runs(reference: string, env: Record<string, string> = {}): Promise<CliResult> {
  const result = await world.ok(['run', '--rm', reference], { env })
  assert.equal(result.stdout, `${WORDS.length}\ndone\n`)
  return result
}

test('a second run fetches no layer, yet asks the owner for the key', async () => {
  const first = await runs(encrypted)
  assert.equal(await layersFetched(encrypted), 2, 'the detector works')
  assert.doesNotMatch(first.stderr, /were on this node/)
  assert.equal(kept('.record').length, 2)
  assert.equal(kept('.sealed').length, 2)

  const from = await auditLength(world)
  const second = await runs(encrypted)
  assert.equal(await layersFetched(encrypted), 0)
  assert.match(second.stderr, /2 of 2 were on this node/)
  const released = (await asked(world, from)).filter((subject) =>
    subject.includes('image-kek/test'),
  )
  assert.equal(released.length, 1, 'the key was released again')
  assert.equal(kept('.record').length, 2)
})

test('a broker that no longer releases the key refuses a layer that is there', async () => {
  await runs(encrypted)
  const saved = world.path('kek')
  await world.ok(['kbs', 'resource', 'get', KEK, '-o', saved])
  await world.ok(['kbs', 'resource', 'delete', KEK])
  try {
    refused(await world.cli(['run', '--rm', encrypted]), 'RESOURCE_NOT_FOUND')
  } finally {
    await world.ok(['kbs', 'resource', 'set', KEK, saved])
  }
  await runs(encrypted)
  assert.equal(await layersFetched(encrypted), 2, 'of the first run alone')
})

test('a launch policy that forbids an image refuses it, although its plain layers are there', async () => {
  await runs(plain)
  const file = world.path('launch.cedar')
  const normal = (await world.ok(['kbs', 'policy', 'get', 'launch'])).stdout
  const set = async (text: string): Promise<void> => {
    writeFileSync(file, text)
    await world.ok(['kbs', 'policy', 'set', 'launch', file])
  }
  await set(`${normal}\n@id("closed")\nforbid (principal, action == Action::"run", resource);\n`)
  try {
    refused(await world.cli(['run', '--rm', plain]), 'LAUNCH_REFUSED')
  } finally {
    await set(normal)
  }
  proxy.take()
  await runs(plain)
  assert.equal(await layersFetched(plain), 0)
})

test('inspect says which layers were cached, and where they are', async () => {
  await runs(plain)
  for (const reference of [plain, encrypted]) {
    await world.ok(['run', '--name', 'shown', reference])
    const [shown] = (await world.ok(['inspect', 'shown', '--json'])).json<
      { layers: { digest: string; cached: boolean; file: string }[] }[]
    >()
    await world.ok(['rm', 'shown'])
    const { layers: found = [] } = shown ?? {}
    assert.deepEqual(
      found.map(({ digest }) => digest),
      await layerDigests(reference),
    )
    assert.deepEqual(
      found.map(({ cached }) => cached),
      [reference === plain, reference === plain],
    )
    for (const { file } of found) assert.ok(kept('.sealed').includes(file))
  }
})

test('two pods that seal one image at once both run, and leave one copy that can be found', async () => {
  await Promise.all([runs(encrypted), runs(encrypted)])
  assert.equal(kept('.record').length, 2)
  await world.ok(['cache', 'gc'])
  assert.equal(kept('.sealed').length, 2)
  proxy.take()
  await Promise.all([runs(encrypted), runs(encrypted)])
  assert.equal(await layersFetched(encrypted), 0)
})

test('plain layers of one owner are not those of another', async () => {
  await runs(plain)
  proxy.take()
  const other = world.path('other-init-data.toml')
  const own = readFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', 'utf8')
  writeFileSync(other, `${own}\n# another document, the same broker\n`)
  await runs(plain, { ENCLAVE_CC_INIT_DATA: other })
  assert.equal(await layersFetched(plain), 2)
  assert.equal(kept('.record').length, 4)
  await runs(plain)
  await runs(plain, { ENCLAVE_CC_INIT_DATA: other })
  assert.equal(await layersFetched(plain), 0)
})

// One of each sort, with containers: a record, the data, what is missing. Every edit that a host can make is counted
// in the table of test/conformance/hostile/hostile-cache.test.ts.
const SPOILED: Readonly<Record<string, () => void>> = {
  'records flipped': () => {
    for (const file of kept('.record')) flipByte(file, 60)
  },
  'data of each other': () => {
    const [a = '', b = ''] = kept('.sealed')
    const [first, second] = [readFileSync(a), readFileSync(b)]
    writeFileSync(a, second)
    writeFileSync(b, first)
  },
  'data gone': () => {
    for (const file of kept('.sealed')) rmSync(file)
  },
}

test('what the host did to the cache is a miss, and the container runs', async (t) => {
  for (const [name, spoil] of Object.entries(SPOILED)) {
    await t.test(name, async () => {
      rmSync(layers(), { recursive: true, force: true })
      await runs(encrypted)
      spoil()
      proxy.take()
      await runs(encrypted)
      assert.equal(await layersFetched(encrypted), 2)
    })
  }
})

test('flipped content of a kept layer ends the container, and that layer alone is not offered again', async () => {
  await runs(encrypted)
  const records = kept('.record')
  for (const file of kept('.sealed')) {
    flipByte(file, 4096 + 100)
    const result = await world.cli(['run', '--rm', encrypted])
    assert.match(result.stderr, /ROOTFS_TAMPERED/)
    assert.equal(result.code, 125)
    assert.equal(kept('.record').length, records.length - 1)
    proxy.take()
    await runs(encrypted)
    assert.equal(await layersFetched(encrypted), 1)
  }
})

test('a damaged scratch ends the container, and its layers are offered again', async () => {
  const script = [
    'yes word | dd bs=4096 count=256 iflag=fullblock of=/x 2>/dev/null; sync; echo written',
    'trap "md5sum /x; echo read" USR1; while :; do sleep 0.1; done',
  ]
  const config = { Entrypoint: ['sh', '-c', script.join('; ')] }
  const files = { '/opt/words': WORDS }
  const writer = await publish(world, { name: 'acme/writer:1', config, files })
  const start = async (): Promise<string> => {
    await world.ok(['run', '-d', '--name', 'writer', writer])
    const logged = async (): Promise<string> => (await world.ok(['logs', 'writer'])).stdout
    await until(async () => (await logged()).includes('written'), 'the program to write')
    const [found] = (await world.ok(['inspect', 'writer'])).json<{ init: { pid: number } }[]>()
    return scratchFile(found?.init.pid ?? 0)
  }
  const file = await start()
  const records = kept('.record')
  assert.equal(records.length, 2)
  try {
    const { blocks } = statSync(file)
    assert.ok(blocks > 0)
    truncateSync(file, 0)
    writeFileSync('/proc/sys/vm/drop_caches', '3')
    const read = await world.cli(['kill', '-s', 'USR1', 'writer'])
    // its filesystem may have read something of it by itself before
    if (read.code !== 0) assert.match(read.stderr, /\[CONTAINER_NOT_RUNNING\]/)
    assert.equal((await world.cli(['wait', 'writer'])).stdout.trim(), '137')
    const [ended] = (await world.ok(['inspect', 'writer'])).json<Record<string, unknown>[]>()
    assert.equal(ended?.code, 'ROOTFS_TAMPERED')
    assert.match(String(ended?.message), /scratch, chunk/)
  } finally {
    await world.ok(['rm', '-f', 'writer'])
  }
  assert.deepEqual(kept('.record'), records)
  proxy.take()
  await start()
  await world.ok(['rm', '-f', 'writer'])
  assert.equal(await layersFetched(writer), 0)
})

/** Path of the nameless file of ciphertext that an init holds. */
function scratchFile(pid: number): string {
  const fds = `/proc/${pid}/fd`
  const fd = readdirSync(fds).find((name) => readlinkSync(`${fds}/${name}`).includes('/spool/#'))
  assert.ok(fd, 'init holds its scratch')
  return `${fds}/${fd}`
}

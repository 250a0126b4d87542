import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { concat, utf8 } from '#lib/bytes'
import { serializeInitData } from '#lib/initdata'
import { object, parseJson } from '#lib/json'
import { createTtrpcClient } from '#lib/ttrpc'
import { socketPair } from '#platform/socket-pair'
import { agentClient } from '#protocol/agent'
import { AgentHarness, MANIFEST, SIGNER } from '../support/agent-harness.ts'

const harness = await AgentHarness.start()
after(() => harness[Symbol.asyncDispose]())
const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const initData = utf8(
  serializeInitData({
    broker: { url: harness.broker.url, pins: [harness.pin], namespace: 'acme' },
  }),
)

/** The agent program as its launcher starts it, with one descriptor too many. */
function start() {
  const [control, device] = [socketPair(), socketPair()]
  const stray = openSync('/etc/hostname', 'r')
  const entry = join(import.meta.dirname, '../support/agent-entry.ts')
  const spool = mkdtempSync(join(harness.dir, 'spool-'))
  const caFile = '/etc/ssl/certs/ca-certificates.crt'
  const child = spawn(
    process.execPath,
    [
      '--disable-sigusr1',
      '--disable-warning=ExperimentalWarning',
      entry,
      spool,
      '/nonexistent',
      caFile,
    ],
    { stdio: [control.theirs, 'pipe', 'pipe', device.theirs, stray], env: {} },
  )
  control.closeTheirs()
  device.closeTheirs()
  closeSync(stray)
  harness.platform.serve(device.ours, {
    mrEnclave: sha256(MANIFEST),
    mrSigner: SIGNER,
    configId: concat(sha256(initData), new Uint8Array(32)),
    isvProdId: 1,
    isvSvn: 1,
    debug: false,
  })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => output.push(data))
  const exited = once(child, 'exit')
  const client = createTtrpcClient(control.ours)
  return {
    pid: child.pid ?? 0,
    agent: agentClient(client),
    exited,
    output: () => Buffer.concat(output).toString(),
    hangUp: () => client.close(),
    async [Symbol.asyncDispose]() {
      client.close()
      child.kill('SIGKILL')
      await exited
    },
  }
}

test('the program attests over its descriptors, and ends when its supervisor goes', async () => {
  await using started = start()
  const { agent, pid, exited, hangUp, output } = started
  await agent.configure({ initData, manifest: MANIFEST })
  const { json } = await agent.attest({
    resource: '',
    reportData: new Uint8Array(0),
    explain: false,
  })
  const { token } = object(parseJson(json), 'result')
  assert.equal(typeof token, 'string')

  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  assert.equal(open.includes('/etc/hostname'), false)
  assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +1 +1 /)

  hangUp()
  assert.deepEqual(await exited, [0, null])
  assert.equal(output(), '')
})

test('a refusal crosses the boundary with its code, and the log gets no more than that', async () => {
  await using started = start()
  const { agent, exited, hangUp, output } = started
  await agent.configure({ initData, manifest: MANIFEST })
  const image = '127.0.0.1:1/private-name/app:1'
  const request = utf8('{"network":"host"}')
  await assert.rejects(agent.prepare({ containerId: 'c1', podId: 'p1', image, request }), {
    code: 'IMAGE_POLICY_MISSING',
  })
  hangUp()
  await exited
  assert.equal(output(), '{"component":"agent","code":"IMAGE_POLICY_MISSING","container":"c1"}\n')
})

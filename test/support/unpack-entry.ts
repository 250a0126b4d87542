import { createReadStream, readFileSync } from 'node:fs'
import { toHex } from '#lib/bytes'
import { layerSealer } from '../../src/enclave/agent/image/layers.ts'

// One layer through the agent's pipeline, in a process of its own so that its memory can be told.
// Arguments: blob, spool folder, media type, size, digest, diff_id.
const [blob = '', spool = '', mediaType = '', size = '', digest = '', diffId = ''] =
  process.argv.slice(2)
const start = process.cpuUsage()
const seal = layerSealer({ spool })
const client = { blob: () => createReadStream(blob, { highWaterMark: 65_536 }) }
const [layer] = await seal(
  [{ descriptor: { mediaType, digest, size: Number(size) }, diffId, opened: undefined }],
  {
    client,
    initDataDigest: new Uint8Array(32),
    signal: new AbortController().signal,
    onProgress: () => {},
  },
)
if (layer === undefined) throw new Error('no layer')
const { user, system } = process.cpuUsage(start)
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
console.log(
  JSON.stringify({
    ...{ key: toHex(layer.key), root: toHex(layer.root), header: toHex(layer.header) },
    ...{ file: layer.file, peakBytes: peak * 1024, cpuSeconds: (user + system) / 1e6 },
  }),
)

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { CodedError } from '#lib/errors'
import { mrEnclave, mrSigner, type SignedManifest } from '#lib/manifest'
import { createTtrpcClient, type TtrpcClient } from '#lib/ttrpc'
import { socketPair } from '#platform/socket-pair'
import { abortFuse, fuseConnections, isDying } from './fuse-abort.ts'
import { say } from './own-words.ts'
import type { SimPlatform } from './sim/index.ts'

/** A killed process is gone by then, unless it waits for itself. */
const STUCK_MS = 100

/** A started enclave, as its launcher sees it. */
export interface EnclaveProcess {
  readonly pid: number
  readonly mrEnclave: Uint8Array
  readonly client: TtrpcClient
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** Lets it go if somebody killed it while it waited for a mount that it serves itself. */
  releaseIfKilled(): void
  /** Ends it at once and waits. Closing the control socket alone makes an honest enclave end itself. */
  kill(): Promise<void>
}

/** How to start one enclave. */
export interface EnclaveLaunch {
  /** Root of the mounted image, in the pod's mount namespace. */
  readonly root: string
  readonly signed: SignedManifest
  /** Host-chosen 64 bytes: the zero-padded digest of the init-data. */
  readonly configId: Uint8Array
  readonly platform: SimPlatform
  /** Descriptors for its standard output and error. */
  readonly stdout: number
  readonly stderr: number
}

/**
 * Starts the program of a manifest inside its image: no environment but the manifest's, descriptor 0
 * the control socket, descriptor 3 the TEE device, nothing else. The simulated CPU takes the identity
 * from the manifest that names the mounted image. Throws CodedError ENCLAVE_START_FAILED.
 */
export async function startEnclave(launch: EnclaveLaunch): Promise<EnclaveProcess> {
  const { manifest, signer } = launch.signed
  const identity = mrEnclave(manifest)
  const [control, device] = [socketPair(), socketPair()]
  const child = spawn('/usr/sbin/chroot', [launch.root, manifest.entry, ...manifest.args], {
    env: { ...manifest.env },
    cwd: '/',
    stdio: [control.theirs, launch.stdout, launch.stderr, device.theirs],
  })
  control.closeTheirs()
  device.closeTheirs()
  const { promise: ended, resolve } = Promise.withResolvers<Awaited<EnclaveProcess['ended']>>()
  child.once('exit', (code, signal) => resolve({ code, signal }))
  try {
    await once(child, 'spawn')
  } catch (cause) {
    control.ours.destroy()
    device.ours.destroy()
    const what = `starting the ${manifest.program} enclave failed`
    throw new CodedError('ENCLAVE_START_FAILED', what, { cause })
  }
  // A socket of a dead enclave errors; its end is seen through `ended` and the failing calls.
  for (const socket of [control.ours, device.ours]) socket.on('error', () => {})
  const secs = {
    mrEnclave: identity,
    mrSigner: mrSigner(signer),
    configId: launch.configId,
    isvProdId: manifest.isvProdId,
    isvSvn: manifest.isvSvn,
    debug: manifest.attributes.debug,
  }
  const served = launch.platform.serve(device.ours as Duplex, secs, {
    // the enclave hears a code; why the device failed is for this node's log
    onFailure: (error) => say(`tee device: ${String(error)}`),
  })
  const client = createTtrpcClient(control.ours)
  return {
    pid: child.pid as number,
    mrEnclave: identity,
    client,
    ended,
    releaseIfKilled() {
      if (isDying(child.pid as number)) abortFuse(child.pid as number)
    },
    async kill() {
      const connections = fuseConnections(child.pid as number)
      child.kill('SIGKILL')
      const timer = setInterval(() => abortFuse(child.pid as number, connections), STUCK_MS)
      await ended
      clearInterval(timer)
      client.close()
      control.ours.destroy()
      served.close()
      device.ours.destroy()
    },
  }
}

import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { formatPlatform } from '#lib/oci'
import { brokerResources } from './broker-resources.ts'
import { chooseImage } from './choose.ts'
import { type CopyResult, copyImage } from './copy.ts'
import { encryptImage } from './encrypt.ts'
import { readRecipients } from './encryption-recipients.ts'
import { summarizeLayers } from './inspect.ts'
import { parseLayerSelection } from './layer-selection.ts'
import { eachManifest } from './manifests.ts'
import { openDestination, openSource } from './open.ts'
import { wantedPlatform } from './platform-flag.ts'
import { ProtectError } from './protect-error.ts'
import { registryAccess } from './registry-access.ts'
import type { ImageSource } from './transport.ts'

/** `image encrypt SRC DST`: encrypts layers on their way, then reads back what was written. */
export async function encryptCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const [from = '', to = ''] = input.operands
  const all = checkedAll(input)
  using broker = brokerResources(context, input)
  const selection = parseLayerSelection(input.list('encrypt-layer'))
  await using source = await openSource(from, registryAccess(context, input, 'src'))
  // First what costs nothing and can fail; a key made in the broker is the last preparation.
  const image = encryptImage(selection)
  image.check(await manifestsOf(source, input, all))
  const recipients = await readRecipients(input.list('encryption-key'), broker.connect)
  const access = registryAccess(context, input, 'dest')
  await using destination = await openDestination(to, access, { from: source.reference })
  const result = await copyImage(source, destination, {
    platform: wantedPlatform(input),
    all,
    transform: image.transform(recipients),
    progress: (label) => context.progress(label),
    signal: context.signal,
  })
  await using written = await openSource(to, access)
  const step = context.progress('reading back what was written')
  try {
    await image.verify(written, context.signal)
    step.done('every selected layer is encrypted and decrypts')
  } catch (error) {
    step.fail()
    throw error
  }
  return protectOutcome(destination.text, result)
}

/** The document of `image encrypt` and `image decrypt`. */
export function protectOutcome(reference: string, result: CopyResult): Outcome {
  const several = result.images.length > 1
  const layers = result.images.flatMap(({ manifest, digest, platform }) =>
    summarizeLayers(manifest.layers).map((layer) => ({
      ...layer,
      // With several images, positions alone do not say which layer is meant.
      ...(several ? { manifest: digest } : {}),
      ...(several && platform !== undefined ? { platform: formatPlatform(platform) } : {}),
    })),
  )
  const encrypted = layers.filter((layer) => layer.encrypted).length
  return {
    document: { reference, digest: result.digest, layers },
    text: `${reference}\n${result.digest}\n${encrypted} of ${layers.length} layers encrypted`,
  }
}

/** `--all`, which excludes `--platform`. Throws `USAGE`. */
export function checkedAll(input: CommandInput): boolean {
  const all = input.flag('all')
  if (all && input.text('platform') !== undefined) {
    throw new ProtectError('USAGE', 'reading flags: --all and --platform exclude each other')
  }
  return all
}

async function manifestsOf(source: ImageSource, input: CommandInput, all: boolean) {
  if (all) return (await Array.fromAsync(eachManifest(source))).map(({ manifest }) => manifest)
  return [(await chooseImage(source, await source.top(), wantedPlatform(input))).manifest]
}

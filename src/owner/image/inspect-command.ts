import { fromUtf8 } from '#lib/bytes'
import { type CommandContext, type CommandInput, type Outcome, printable } from '#lib/command'
import { parseJson } from '#lib/json'
import { formatPlatform, MAX_MANIFEST_SIZE } from '#lib/oci'
import { chooseImage } from './choose.ts'
import { type InspectDocument, inspectImage } from './inspect.ts'
import { openSource } from './open.ts'
import { wantedPlatform } from './platform-flag.ts'
import { registryAccess } from './registry-access.ts'
import { type ImageSource, readBlob } from './transport.ts'

/** `image inspect REF [--raw] [--config]`. */
export async function inspectCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const [ref = ''] = input.operands
  await using source = await openSource(ref, registryAccess(context, input), { bare: true })
  if (input.flag('config')) return showConfig(source, input)
  if (input.flag('raw')) {
    const { bytes } = await source.top()
    return { bytes, document: parseJson(bytes) }
  }
  const document = await inspectImage(source, wantedPlatform(input))
  return { document, text: describeImage(document) }
}

async function showConfig(source: ImageSource, input: CommandInput): Promise<Outcome> {
  const { manifest } = await chooseImage(source, await source.top(), wantedPlatform(input))
  const bytes = await readBlob(source, manifest.config, MAX_MANIFEST_SIZE)
  const document = parseJson(fromUtf8(bytes, 'image configuration'))
  return input.flag('raw') ? { bytes, document } : { document }
}

function describeImage(image: InspectDocument): string {
  const lines = [
    `reference  ${image.reference}`,
    `digest     ${image.digest}`,
    ...(image.manifestDigest === image.digest ? [] : [`manifest   ${image.manifestDigest}`]),
    `type       ${image.mediaType}`,
    `platform   ${image.platform === null ? 'none' : formatPlatform(image.platform)}`,
  ]
  for (const layer of image.layers) {
    const recipients = layer.recipients.map(({ scheme, id }) =>
      id === '' ? scheme : `${scheme} ${id}`,
    )
    const state = layer.encrypted ? `encrypted for ${recipients.join(', ') || 'nobody'}` : 'plain'
    lines.push(`layer ${layer.index}    ${layer.digest}  ${layer.size} bytes, ${state}`)
  }
  for (const { scheme, stored } of image.signatures) {
    lines.push(`signature  ${scheme}, ${stored} (not verified: use image verify)`)
  }
  if (image.signatures.length === 0) lines.push('signature  none')
  return lines.map(printable).join('\n')
}

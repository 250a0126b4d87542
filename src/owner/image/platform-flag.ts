import type { CommandInput } from '#lib/command'
import { ociArchitecture, type Platform, parsePlatformText } from '#lib/oci'

/** The platform of `--platform`; without it, linux on the architecture of this machine. */
export function wantedPlatform(input: CommandInput): Platform {
  const text = input.text('platform')
  if (text !== undefined) return parsePlatformText(text)
  return { os: 'linux', architecture: ociArchitecture(process.arch) }
}

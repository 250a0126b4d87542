import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { type ImagePolicy, parsePolicy } from '#lib/signing'
import { readInput } from './key-files.ts'
import { openSource } from './open.ts'
import { wantedPlatform } from './platform-flag.ts'
import { ProtectError } from './protect-error.ts'
import { registryAccess } from './registry-access.ts'
import { policyOfKey, verdictText, verifyImage } from './verify.ts'

const MAX_POLICY = 1024 * 1024

/** `image verify REF`: the verdict of a policy, or of one key; the exit code carries it. */
export async function verifyCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const [ref = ''] = input.operands
  const policy = await readPolicy(input)
  await using source = await openSource(ref, registryAccess(context, input), { bare: true })
  const document = await verifyImage(source, policy, wantedPlatform(input))
  return { document, text: verdictText(document), exitCode: document.accepted ? 0 : 1 }
}

async function readPolicy(input: CommandInput): Promise<ImagePolicy> {
  const [policy, key] = [input.text('policy'), input.text('key')]
  if (policy !== undefined && key === undefined) {
    return parsePolicy(await readInput(policy, MAX_POLICY))
  }
  if (key !== undefined && policy === undefined) return policyOfKey(await readInput(key))
  throw new ProtectError('USAGE', 'verifying an image: give either --policy or --key')
}

import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { brokerResources } from './broker-resources.ts'
import { copyImage } from './copy.ts'
import { decryptImage } from './decrypt.ts'
import { readUnwrappers } from './decryption-keys.ts'
import { checkedAll, protectOutcome } from './encrypt-command.ts'
import { openDestination, openSource } from './open.ts'
import { wantedPlatform } from './platform-flag.ts'
import { registryAccess } from './registry-access.ts'

/** `image decrypt SRC DST`: nothing appears at DST unless every layer passed its checks. */
export async function decryptCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const [from = '', to = ''] = input.operands
  const all = checkedAll(input)
  using broker = brokerResources(context, input)
  const keys = input.list('decryption-key')
  const unwrappers = await readUnwrappers(keys, context, broker.connect)
  await using source = await openSource(from, registryAccess(context, input, 'src'))
  const transform = await decryptImage(source, unwrappers, context.signal)
  const access = registryAccess(context, input, 'dest')
  await using destination = await openDestination(to, access, { from: source.reference })
  const result = await copyImage(source, destination, {
    platform: wantedPlatform(input),
    all,
    transform,
    progress: (label) => context.progress(label),
    signal: context.signal,
  })
  return protectOutcome(destination.text, result)
}

import type { CommandContext, CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import { readFileAtMost } from '#platform/input-file'
import type { AdminClient } from './admin-client.ts'
import { openAdmin } from './client-places.ts'

const LARGE = 256 * 1024 * 1024

/** Runs `use` with the administration of the broker that the command line means. */
export async function withAdmin<T>(
  context: CommandContext,
  input: CommandInput,
  use: (client: AdminClient) => Promise<T>,
): Promise<T> {
  using admin = await openAdmin(context, input)
  return await use(admin.client)
}

/** The bytes of a file, or of standard input for `-`, at most 256 MiB. Throws CodedError INPUT_UNREADABLE. */
export async function readInput(context: CommandContext, file: string): Promise<Uint8Array> {
  return file === '-' ? await context.stdin(LARGE) : await readFileOr(file)
}

/** The bytes of a file, at most 256 MiB. Throws CodedError INPUT_UNREADABLE. */
export async function readFileOr(file: string): Promise<Uint8Array> {
  try {
    const bytes = await readFileAtMost(file, LARGE)
    if (bytes !== undefined) return bytes
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
  throw new CodedError('INPUT_UNREADABLE', `reading ${file}: it has over ${LARGE} bytes`)
}

import type { Command } from '#lib/command'
import { imageCopy, imageInspect, imagePull, imagePush } from './copy-commands.ts'
import { protectCommands } from './protect-commands.ts'

/** The commands of `image` and `keygen`. */
export const commands: readonly Command[] = [
  imageCopy,
  imagePush,
  imagePull,
  imageInspect,
  ...protectCommands,
]

import type { Command } from '#lib/command'
import { platformExportRoot, platformSet, platformShow } from './platform-commands.ts'

/** Commands of the launcher. */
export const commands: readonly Command[] = [platformShow, platformExportRoot, platformSet]

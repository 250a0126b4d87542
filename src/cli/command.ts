// The command shape lives in lib, so that parties never import the door: use `#lib/command`.
export type { Command, CommandContext, CommandInput, OptionSpec, Outcome } from '#lib/command'

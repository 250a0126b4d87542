import { randomBytes } from 'node:crypto'
import { CodedError } from '#lib/errors'

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/
const FIRST = ['calm', 'quiet', 'sealed', 'sober', 'steady', 'still', 'sturdy', 'veiled']
const SECOND = ['badger', 'beaver', 'clam', 'hedgehog', 'mole', 'oyster', 'snail', 'turtle']

/** A fresh container id: 64 hex digits. */
export function newId(): string {
  return randomBytes(32).toString('hex')
}

/** The name asked for, checked, or a readable one made from the id. Throws CodedError USAGE. */
export function containerName(asked: string | undefined, id: string): string {
  if (asked === undefined) {
    const pick = (words: readonly string[], at: number): string =>
      words[Number.parseInt(id.slice(at, at + 2), 16) % words.length] as string
    return `${pick(FIRST, 0)}-${pick(SECOND, 2)}-${id.slice(4, 8)}`
  }
  if (!NAME.test(asked)) {
    throw new CodedError('USAGE', `--name ${asked}: letters, digits, _ . - and at most 128 of them`)
  }
  return asked
}

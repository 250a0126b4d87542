import { readFileSync } from 'node:fs'
import { parseInitData, serializeInitData } from '#lib/initdata'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const BASIC = new URL('../vectors/init-data/basic.toml', import.meta.url)

/** An init-data document: a typed error, or a round trip that stays in its namespace. */
export const target: FuzzTarget = {
  format: 'init-data',
  files: /\.(toml|bin)$/,
  seeds: () => [new Uint8Array(readFileSync(BASIC))],
  run: fuzzInitData,
}

function fuzzInitData(data: Uint8Array): void {
  const read = parseInitData(data)
  const again = parseInitData(serializeInitData(read))
  if (JSON.stringify(again) !== JSON.stringify(read)) throw new Error('the round trip differs')
  for (const name of Object.values(read.resources)) {
    if (name.namespace !== read.broker.namespace) throw new Error('a resource left the namespace')
  }
}

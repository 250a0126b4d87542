/** Pseudo random numbers of a seed (xorshift32), the same on every machine. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff]

/** Every seed as it is, then endless mutations of them: flips, cuts, joins, lengths, runs. */
export function* mutations(seeds: readonly Uint8Array[], seed: number): Generator<Uint8Array> {
  yield* seeds
  const random = randomOf(seed)
  const pick = (): Uint8Array => seeds[random(seeds.length)] as Uint8Array
  for (;;) {
    let data = Uint8Array.from(pick())
    for (let count = 1 + random(4); count > 0; count--) {
      const at = data.length === 0 ? 0 : random(data.length)
      switch (random(7)) {
        case 0:
          if (data.length > 0) data[at] = (data[at] as number) ^ (1 << random(8))
          break
        case 1:
          if (data.length > 0) data[at] = INTERESTING[random(INTERESTING.length)] as number
          break
        case 2:
          data = data.slice(0, at)
          break
        case 3: {
          const other = pick()
          data = join(data.subarray(0, at), other.subarray(random(other.length + 1)))
          break
        }
        case 4: {
          const view = new DataView(data.buffer)
          const value = random(2) === 0 ? random(0x10000) : 0xffffffff - random(16)
          if (at + 4 <= data.length) view.setUint32(at, value, random(2) === 0)
          break
        }
        case 5: {
          const length = random(Math.min(64, data.length + 1))
          data = join(data.subarray(0, at), data.subarray(at + length))
          break
        }
        default: {
          const run = data.subarray(at, at + random(64))
          data = join(data.subarray(0, at), run, data.subarray(at))
        }
      }
    }
    yield data
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
